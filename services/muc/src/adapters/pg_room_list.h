#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ports/room_store.h"
#include "rookery/base/clock.h"
#include "rookery/pg/pool.h"

namespace rookery::muc {

/// The list of public rooms (RoomStore::List). A page is read from the place of the room that it follows, so
/// without a text it costs what it shows, however far behind it is. No more than kCounted rooms are counted
/// for a page. If there are more, the count of a list of all rooms is what it was within the last minute, and
/// that of another is kCounted. I/O thread only.
class PgRoomList {
 public:
  static constexpr std::int64_t kCounted = 5'000;

  PgRoomList(pg::Pool& pool, const Clock& clock) : pool_(pool), clock_(clock) {}
  Task<absl::StatusOr<RoomPage>> Read(RoomQuery query);

 private:
  /// A place in the order of the rooms: a room's, or one before or behind all of them.
  struct Place {
    std::int64_t minus_occupants = 0;
    std::string room;
  };
  /// The parameters of the statements: service, a number, what FilterParams makes, a place.
  static std::vector<pg::Param> Params(const RoomQuery& query, std::int64_t number,
                                       const std::vector<pg::Param>& filter);
  static std::vector<pg::Param> Params(const RoomQuery& query, std::int64_t number,
                                       const std::vector<pg::Param>& filter, const Place& place);
  /// Finds the place of the room that the page follows or precedes.
  Task<absl::StatusOr<Place>> PlaceOf(const RoomQuery& query, std::string room);
  /// Finds the place of the room with this number; none: there are fewer.
  Task<absl::StatusOr<std::optional<Place>>> PlaceOf(const RoomQuery& query, std::int64_t number,
                                                     const std::vector<pg::Param>& filter);
  Task<absl::Status> Count(const RoomQuery& query, const std::vector<pg::Param>& filter, const Place& first,
                           RoomPage& page);
  Task<absl::StatusOr<std::int64_t>> CountAll(std::string service);

  pg::Pool& pool_;
  const Clock& clock_;
  struct Counted {
    SteadyTime at;
    std::int64_t rooms = 0;
  };
  /// By service, for those with many rooms.
  std::map<std::string, Counted> counted_;
};

}  // namespace rookery::muc
