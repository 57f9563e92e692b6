#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/container/btree_set.h"
#include "domain/room.h"
#include "rookery/base/clock.h"
#include "rookery/base/string_hash.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/runtime/event.h"
#include "rookery/sharding/fanout.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::muc {

using RoomRecord = sharding::RecordShards<events::v1::RoomRecord>::Read;

/// What follows from a room's records between two checkpoints and is not in the log yet.
struct Appends {
  explicit Appends(asio::any_io_executor executor) : all_done(std::move(executor)) {}
  std::size_t open = 0;
  /// Notified when `open` falls to 0.
  runtime::Event all_done;
};

/// A record of a room that is not applied yet.
struct WaitingRecord {
  std::shared_ptr<RoomRecord> record;
  /// A verdict on it is being found or appended: it is not applied before that is read.
  bool is_asked = false;
  /// The first one that was read: it holds.
  std::optional<events::v1::RoomVerdict> verdict = std::nullopt;
};

/// A room while something is to do with it: loaded when a record comes for it, and forgotten when it is
/// quiet.
struct RoomSlot {
  explicit RoomSlot(std::string jid) : room_jid(std::move(jid)) {}

  const std::string room_jid;
  /// Null: it is being looked for in the store, or nobody has asked for it any more.
  std::unique_ptr<Room> room;
  bool is_loading = false;
  SteadyTime wanted_at = SteadyTime::min();
  /// Records up to here are in the checkpoint that it was loaded from, with all that follows from them.
  std::int64_t stored_up_to = -1;
  /// Of the newest record applied.
  std::int64_t applied = -1;

  /// In their order: for the room to be loaded, for a verdict on the first of them, or for their turn.
  std::deque<WaitingRecord> waiting;
  /// It is in RoomShard::to_apply.
  bool is_to_apply = false;

  /// Applied and not in a checkpoint: held in the shard's window.
  std::vector<std::int64_t> unsaved;
  std::shared_ptr<Appends> appends;
  bool is_saving = false;
  /// A record by which it goes on with what it has not finished is on its way.
  bool is_prompted = false;
  /// Others read of it in the store: it is not to wait.
  bool is_urgent = false;
  /// It is in RoomShard::to_save.
  bool is_to_save = false;
  SteadyTime saved_at = SteadyTime::min();
  SteadyTime used_at = SteadyTime::min();
  /// As RoomMemory has counted it last.
  std::size_t counted_bytes = 0;
  std::size_t counted_occupants = 0;

  /// `recipients` by their partitions, as it was needed last.
  std::shared_ptr<const Recipients> grouped;
  std::vector<sharding::Recipient> groups;
};

struct RoomShard final : sharding::Shard {
  RoomShard(std::uint32_t shard_number, std::chrono::milliseconds horizon,
            const asio::any_io_executor& executor)
      : Shard(shard_number, horizon), saved(executor), moved(executor) {}

  std::unordered_map<std::string, std::shared_ptr<RoomSlot>, StringHash, std::equal_to<>> rooms;
  /// To be loaded, in the order in which they are asked for.
  std::deque<std::shared_ptr<RoomSlot>> to_load;
  bool is_loading = false;
  /// When those who wait for rooms were looked at last.
  SteadyTime looked_at = SteadyTime::min();
  /// More waits in them than is applied in one turn of the loop.
  std::deque<std::shared_ptr<RoomSlot>> to_apply;
  bool is_applying = false;
  /// Too much has been read before our fence to be kept until that is read.
  bool keeps_too_much = false;
  /// Changed, by when they are to be written.
  struct Due {
    SteadyTime at;
    std::shared_ptr<RoomSlot> slot;
    bool operator>(const Due& other) const { return at > other.at; }
  };
  std::priority_queue<Due, std::vector<Due>, std::greater<>> to_save;
  /// Rooms that are being written, and those that will be when all that follows from them is in the log.
  std::size_t saving = 0;
  std::size_t awaiting_log = 0;
  /// Notified when one has been written.
  runtime::Event saved;
  /// Notified when rooms have been loaded, or all that can be applied has been.
  runtime::Event moved;
  /// The store has been claimed by a newer owner: nothing is written any more.
  bool is_superseded = false;
  /// The records by which rooms were destroyed that the store still knows of; -1: of earlier owners.
  absl::btree_set<std::int64_t> destroyed;
  SteadyTime forget_destroyed_at = SteadyTime::min();
  /// Every room, by when it is looked at next whether it is quiet.
  std::priority_queue<Due, std::vector<Due>, std::greater<>> watched;
};

}  // namespace rookery::muc
