#pragma once

#include <cstddef>
#include <set>
#include <string>

#include "ports/room_store.h"

namespace rookery::muc {

/// The lists of rooms that are being made for somebody: a few at a time, so that nobody waits for long and
/// the store is not given what nobody waits for any more. I/O thread only.
class RoomLists {
 public:
  static constexpr std::size_t kMost = 8;
  /// Searches, and pages by their number, besides: one takes far longer than a list, and keeps nobody from
  /// those.
  static constexpr std::size_t kMostSearches = 4;

  /// `store` lives longer.
  explicit RoomLists(RoomStore& store) : store_(store) {}

  /// RoomStore::List. RESOURCE_EXHAUSTED, at once: one of the kind is being made for the account of `asker`
  /// (a JID), or too many are for others.
  Task<absl::StatusOr<RoomPage>> Read(std::string asker, RoomQuery query);

 private:
  class Place;

  RoomStore& store_;
  /// Bare JIDs.
  std::set<std::string, std::less<>> askers_;
  std::set<std::string, std::less<>> searchers_;
};

}  // namespace rookery::muc
