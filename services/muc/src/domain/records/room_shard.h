#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "domain/room/room.h"
#include "rookery/base/clock.h"
#include "rookery/base/due_heap.h"
#include "rookery/base/string_hash.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/runtime/event.h"
#include "rookery/sharding/fanout.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::muc {

using RoomRecord = sharding::RecordShards<events::v1::RoomRecord>::Read;

/// The appends that follow from a room's records between two checkpoints and are not in the log yet.
struct Appends {
  explicit Appends(asio::any_io_executor executor) : all_done(std::move(executor)) {}
  std::size_t open = 0;
  /// Notified when `open` falls to 0.
  runtime::Event all_done;
};

/// An occupant's presence that the log has refused, and those of its recipients who have not been told
/// anything newer of the occupant since.
struct RefusedPresence {
  /// The offset of the record that it follows from.
  std::int64_t offset = -1;
  /// Where it is said again.
  std::uint32_t partition = 0;
  absl::flat_hash_set<std::string> recipients;
};

/// A record of a room that is not applied yet.
struct WaitingRecord {
  std::shared_ptr<RoomRecord> record;
  /// A verdict on it is being found or appended. The record waits until a verdict is read.
  bool is_asked = false;
  /// The first verdict that was read, which holds.
  std::optional<events::v1::RoomVerdict> verdict = std::nullopt;
};

/// The place of a room in its shard, from the first record that comes for it until it has been quiet.
struct RoomSlot {
  explicit RoomSlot(std::string jid) : room_jid(std::move(jid)) {}

  const std::string room_jid;
  /// Null: it is not loaded yet, or was given up since no record waits for it.
  std::unique_ptr<Room> room;
  bool is_loading = false;
  SteadyTime wanted_at = SteadyTime::min();
  /// Records up to this offset are in the checkpoint that the room was loaded from, and all that follows from
  /// them is in the log.
  std::int64_t stored_up_to = -1;
  /// The offset of the newest record that was applied.
  std::int64_t applied = -1;

  /// In the log's order. They wait for the room to be loaded, for a verdict on the first of them, or for
  /// their turn.
  std::deque<WaitingRecord> waiting;
  /// It is in RoomShard::to_apply.
  bool is_to_apply = false;

  /// The offsets of records that were applied and are in no checkpoint; the shard's window holds them.
  std::vector<std::int64_t> unsaved;
  std::shared_ptr<Appends> appends;
  bool is_saving = false;
  /// A record by which it goes on with what it has not finished is on its way.
  bool is_prompted = false;
  /// Others read its changes in the store (lists of rooms): they are written at once.
  bool is_urgent = false;
  /// It is in RoomShard::to_save.
  bool is_to_save = false;
  SteadyTime saved_at = SteadyTime::min();
  SteadyTime used_at = SteadyTime::min();
  /// As RoomMemory has counted it last.
  std::size_t counted_bytes = 0;
  std::size_t counted_occupants = 0;

  /// The recipients of what was said last, and the same by partition. What is said next mostly has the same
  /// ones.
  std::shared_ptr<const Recipients> grouped;
  std::vector<sharding::Recipient> groups;
};

struct RoomShard final : sharding::Shard {
  RoomShard(std::uint32_t shard_number, std::chrono::milliseconds horizon,
            const asio::any_io_executor& executor)
      : Shard(shard_number, horizon), saved(executor), moved(executor) {}

  std::unordered_map<std::string, std::shared_ptr<RoomSlot>, StringHash, std::equal_to<>> rooms;
  /// Rooms to be loaded, in the order in which the store is asked for them.
  std::deque<std::shared_ptr<RoomSlot>> to_load;
  bool is_loading = false;
  /// When rooms that have been wanted for too long were looked for last.
  SteadyTime looked_at = SteadyTime::min();
  /// Rooms whose waiting records are applied in later turns of the loop.
  std::deque<std::shared_ptr<RoomSlot>> to_apply;
  bool is_applying = false;
  /// More was read before our fence than is kept (RoomShards::kMaxKept): records are applied as they come.
  bool keeps_too_much = false;
  /// Rooms that have changed, by when they are to be written.
  DueHeap<std::shared_ptr<RoomSlot>> to_save;
  /// Rooms that are being written, and those that will be when all that follows from them is in the log.
  std::size_t saving = 0;
  std::size_t awaiting_log = 0;
  /// Notified when one has been written.
  runtime::Event saved;
  /// Notified when rooms have been loaded, or all that can be applied has been.
  runtime::Event moved;
  /// A newer owner has claimed the shard in the store: we write nothing any more.
  bool is_superseded = false;
  /// The offsets of the records that destroyed the rooms of which the store still has a note; -1 stands for
  /// those of earlier owners.
  absl::btree_set<std::int64_t> destroyed;
  SteadyTime forget_destroyed_at = SteadyTime::min();
  /// Every room, by when it is next looked at whether it has been quiet for long enough to be forgotten.
  DueHeap<std::shared_ptr<RoomSlot>> watched;
  /// By the occupant's address. Empty but while the log refuses something.
  std::unordered_multimap<std::string, std::shared_ptr<RefusedPresence>> refused_presences;
};

}  // namespace rookery::muc
