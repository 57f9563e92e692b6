#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/muc/v1/room_state.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::muc {

/// A room as its last checkpoint has it.
struct StoredRoom {
  std::string room;
  /// The offset of the newest record of `rooms` that is in it, and the epoch of the owner who said so.
  std::int64_t applied = -1;
  std::int64_t epoch = -1;
  /// There is no such room any more: what follows is empty.
  bool is_destroyed = false;
  muc::v1::RoomState state;
  std::vector<muc::v1::Affiliated> affiliations;
  std::vector<muc::v1::Occupant> occupants;
  /// Oldest first.
  std::vector<muc::v1::PastMessage> history;
};

/// The changes of a room since its last checkpoint.
struct RoomChanges {
  std::string room;
  std::int64_t applied = -1;
  /// Nothing of the room remains but up to which record that is so. What follows is empty.
  bool is_destroyed = false;
  /// All that the store has of an earlier room of this name goes first.
  bool is_new = false;
  muc::v1::RoomState state;
  /// How many occupants there are: for the list of rooms.
  std::int64_t occupant_count = 0;
  /// The bytes that all of the room takes in memory, about.
  std::int64_t bytes = 0;
  /// With their new values. One without affiliation, nick and version goes. What is written is not forgotten
  /// or gone, should it be both; of two of the same the last counts.
  std::vector<muc::v1::Affiliated> affiliations;
  std::vector<std::string> forgotten_affiliations;
  std::vector<muc::v1::Occupant> occupants;
  std::vector<std::string> gone_nicks;
  /// New ones, and older ones that were changed (moderation).
  std::vector<muc::v1::PastMessage> history;
  /// Messages with a lower archive id go.
  std::uint64_t history_from = 0;
};

/// Which public rooms are asked for (XEP-0030 with XEP-0059; XEP-0433).
struct RoomQuery {
  /// The service's address, conference.example.org.
  std::string service;
  /// Addresses ascend byte by byte. Occupants: the most first, among equals by address.
  enum class SortKey { kAddress, kOccupants } sort_key = SortKey::kAddress;
  /// Words (xmpp::SearchWordsOf), each of which is somewhere in name, description or address, as far as
  /// asked, whatever its case; empty: every room.
  std::string text;
  /// In bytes.
  static constexpr std::size_t kMaxText = 256;
  bool in_name = true;
  bool in_description = true;
  bool in_address = true;
  std::int64_t min_occupants = 0;
  /// XEP-0059. At most `max` rooms: the last before `before` (empty: of all), or those behind `after`, or the
  /// first.
  std::int64_t max = 100;
  std::optional<std::string> after;
  std::optional<std::string> before;
  /// From this number on, in place of both. Costs as much as there are rooms before it.
  std::optional<std::int64_t> index;
};

struct ListedRoom {
  std::string room;
  std::string name;
  std::string description;
  std::string lang;
  /// 0 where `is_open` is false: that is for nobody to know.
  std::int64_t occupants = 0;
  /// Whoever comes is let in: neither a password nor membership is needed.
  bool is_open = true;
  /// Only moderators see real addresses.
  bool is_anonymous = true;
};

struct RoomPage {
  /// In the order of the sort key, whichever way was paged.
  std::vector<ListedRoom> rooms;
  /// The number of all that match. Where there are many it may be an estimate (XEP-0059 section 2.7), never
  /// less than what this page shows.
  std::int64_t count = 0;
  /// The number of the first one of this page among them. Nothing: the page is empty, or too many are before
  /// it to be counted.
  std::optional<std::int64_t> first_index;
};

/// Rooms on disk. I/O thread only. Errors are those of pg::Pool, and those that are named.
class RoomStore {
 public:
  virtual ~RoomStore() = default;

  /// From now on nobody but the owner of this epoch changes the shard's rooms, however late a statement of
  /// an older one is done. May be said again. FAILED_PRECONDITION: a newer one has claimed it.
  virtual Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) = 0;
  /// The epoch that has claimed the shard, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) = 0;
  /// Up to which record the shard is finished. Changes nothing where a newer owner has said it.
  virtual Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) = 0;
  /// As it was said last, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) = 0;
  struct Loaded {
    /// Those that there are or that were destroyed, in any order, each as one Save has left it.
    std::vector<StoredRoom> rooms;
    /// So many of those that were asked for have been looked for, from the first on.
    std::size_t looked_for = 0;
  };
  /// The first one, and of the others as many as take `max_bytes` together (RoomChanges.bytes). At most
  /// kMaxLoaded at a time (INVALID_ARGUMENT). DATA_LOSS: something of one of them cannot be read.
  static constexpr std::size_t kMaxLoaded = 100;
  virtual Task<absl::StatusOr<Loaded>> Load(std::uint32_t shard, std::vector<std::string> rooms,
                                            std::size_t max_bytes) = 0;
  /// All of a room's changes or none. A room's next Save is given when the last one has been answered.
  /// FAILED_PRECONDITION: the shard is not claimed by this owner, or by a newer one since. UNAVAILABLE,
  /// DEADLINE_EXCEEDED, ABORTED: it may have been done or be done later, but no more once the room's next
  /// Save is answered, which has to have these changes, too.
  virtual Task<absl::Status> Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) = 0;
  /// Nothing more is kept of the shard's rooms that were destroyed by records before `cursor`: none of these
  /// is read again. FAILED_PRECONDITION: the shard is not claimed by this owner, or by a newer one since.
  /// ABORTED, UNAVAILABLE, DEADLINE_EXCEEDED: it may not have been done, and may be said again.
  virtual Task<absl::Status> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch,
                                             std::int64_t cursor) = 0;
  /// INVALID_ARGUMENT: nothing can be searched for with this text: it is longer than kMaxText, has more than
  /// 16 words, no letter or digit, or is to be in no field. NOT_FOUND: sorted by occupants, and the room
  /// `after` or `before` is not listed any more; in the order of addresses the page goes on from where it
  /// was.
  virtual Task<absl::StatusOr<RoomPage>> List(RoomQuery query) = 0;
  /// 32 random bytes, made when they are first asked for and the same for ever after: occupant ids are keyed
  /// by them (XEP-0421).
  virtual Task<absl::StatusOr<std::string>> Secret() = 0;
  /// Whether the account may make the room: with it, it has made no more than `most` of those of its service
  /// that there are (RoomState.creator), those among them that it may make since a minute or less. Then this
  /// is one of them. May be said again.
  virtual Task<absl::StatusOr<bool>> Reserve(std::string room, std::string creator, std::int64_t most) = 0;
};

}  // namespace rookery::muc
