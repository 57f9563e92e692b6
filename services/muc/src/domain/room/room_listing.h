#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ports/room_store.h"

namespace rookery::muc {

/// The facts about a room that lists of rooms (XEP-0030, XEP-0433) need. Follows from its state.
struct RoomListing {
  std::string service;
  bool is_persistent = false;
  /// Public, and not locked (XEP-0045 section 10.1).
  bool is_listed = false;
  /// Empty without is_listed, as is what follows, but for the address: nobody is shown it.
  ListedRoom shown;
  /// Folded by xmpp::FoldForSearch.
  std::string search_name;
  std::string search_description;
  std::string search_address;
};
RoomListing ListingOf(const RoomChanges& changes);

/// The words that the query looks for; none: it takes every room. INVALID_ARGUMENT as RoomStore::List says.
absl::StatusOr<std::vector<std::string>> WordsOf(const RoomQuery& query);

}  // namespace rookery::muc
