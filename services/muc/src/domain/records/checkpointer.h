#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "domain/records/room_shard.h"
#include "ports/room_store.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::muc {

struct MucMetrics;

/// Writes the changes of rooms to the store: each room in a statement of its own, many at a time, again and
/// again until the store takes them. I/O thread only.
class Checkpointer {
 public:
  /// How often a room is written that changes all the time.
  static constexpr std::chrono::milliseconds kEvery{1'000};
  /// How many rooms of a shard are being written at a time.
  static constexpr std::size_t kMaxSaving = 128;
  /// How often the store's notes of destroyed rooms are cleared of those that no record needs any more.
  static constexpr std::chrono::seconds kForgetEvery{10};

  Checkpointer(asio::any_io_executor executor, sharding::ShardOwner& owner, RoomStore& store,
               const Clock& clock, MucMetrics& metrics)
      : executor_(std::move(executor)), owner_(owner), store_(store), clock_(clock), metrics_(metrics) {}

  /// The room has changed: it is written kEvery after the last time, or at once if it is urgent.
  void OnChanged(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// Begins to write the rooms that are due; with `all`, every room that has changed.
  void SaveDue(RoomShard& shard, bool all);
  /// Writes every room that has changed. Returns when all are written, or at `limit`.
  Task<void> SaveAll(std::shared_ptr<RoomShard> shard, SteadyTime limit);
  /// Every kForgetEvery: begins to remove the store's notes of destroyed rooms that no record needs any more
  /// (R6).
  void ForgetDestroyed(RoomShard& shard);

 private:
  /// The changes of a room that are written, with the records that are finished then.
  struct Checkpoint {
    RoomChanges changes;
    std::vector<std::int64_t> held;
    std::shared_ptr<Appends> appends;
  };
  static bool MayBegin(const RoomShard& shard, const RoomSlot& slot);
  void Save(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  Task<void> WriteOnceLogged(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                             Checkpoint checkpoint);
  Task<void> Write(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot, Checkpoint checkpoint);
  Task<void> Forget(std::shared_ptr<RoomShard> shard);
  /// A newer owner has claimed the shard and writes its rooms from now on; nothing that we hold is written.
  void OnSuperseded(const std::shared_ptr<RoomShard>& shard);

  asio::any_io_executor executor_;
  sharding::ShardOwner& owner_;
  RoomStore& store_;
  const Clock& clock_;
  MucMetrics& metrics_;
};

}  // namespace rookery::muc
