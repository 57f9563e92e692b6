#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

/// A room while something is to do with it: loaded when a record comes for it, and forgotten when it is
/// quiet.
struct RoomSlot {
  explicit RoomSlot(std::string jid) : room_jid(std::move(jid)) {}

  const std::string room_jid;
  /// Null: it is being looked for in the store.
  std::unique_ptr<Room> room;
  bool is_loading = false;
  /// Records up to here are in the checkpoint that it was loaded from, with all that follows from them.
  std::int64_t stored_up_to = -1;
  /// Of the newest record applied.
  std::int64_t applied = -1;

  /// Not applied yet, in their order: for the room to be loaded, or for a verdict on the first of them.
  std::deque<std::shared_ptr<RoomRecord>> waiting;
  /// What the first of them has been read to be answered (events.v1.RoomVerdict).
  std::unordered_map<std::int64_t, events::v1::RoomVerdict> verdicts;
  /// The record whose verdict is being found or appended, or -1.
  std::int64_t asked_about = -1;

  /// Applied and not in a checkpoint: held in the shard's window.
  std::vector<std::int64_t> unsaved;
  std::shared_ptr<Appends> appends;
  bool is_saving = false;
  /// Others read of it in the store: it is not to wait.
  bool is_urgent = false;
  /// It is in RoomShard::to_save, or in RoomShard::watched.
  bool is_to_save = false;
  bool is_watched = false;
  SteadyTime saved_at = SteadyTime::min();
  SteadyTime used_at = SteadyTime::min();

  /// `recipients` by their partitions, as it was needed last.
  std::shared_ptr<const Recipients> grouped;
  std::vector<sharding::Recipient> groups;
};

struct RoomShard final : sharding::Shard {
  using Shard::Shard;

  std::unordered_map<std::string, std::shared_ptr<RoomSlot>, StringHash, std::equal_to<>> rooms;
  /// To be loaded, in the order in which they were asked for.
  std::deque<std::shared_ptr<RoomSlot>> to_load;
  bool is_loading = false;
  /// Changed, by when they are to be written.
  struct Due {
    SteadyTime at;
    std::shared_ptr<RoomSlot> slot;
    bool operator>(const Due& other) const { return at > other.at; }
  };
  std::priority_queue<Due, std::vector<Due>, std::greater<>> to_save;
  std::size_t saving = 0;
  /// Every room, by when it is looked at next whether it is quiet.
  std::priority_queue<Due, std::vector<Due>, std::greater<>> watched;
  /// The log is shorter than it was: offsets in older checkpoints mean nothing.
  bool was_cut = false;
};

}  // namespace rookery::muc
