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

/// Writes what has changed of rooms to the store, each room on its own and many at a time, until the store
/// takes it. I/O thread only.
class Checkpointer {
 public:
  /// A room that changes all the time is written so often.
  static constexpr std::chrono::milliseconds kEvery{1'000};
  /// Rooms of a shard that are being written at a time.
  static constexpr std::size_t kMaxSaving = 128;
  /// What is kept of destroyed rooms goes so often.
  static constexpr std::chrono::seconds kForgetEvery{10};

  Checkpointer(asio::any_io_executor executor, sharding::ShardOwner& owner, RoomStore& store,
               const Clock& clock, MucMetrics& metrics)
      : executor_(std::move(executor)), owner_(owner), store_(store), clock_(clock), metrics_(metrics) {}

  /// The room has changed: it is written when its time comes, or at once if it is urgent.
  void OnChanged(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// Begins to write the rooms whose time has come; `all`: all that have changed.
  void SaveDue(RoomShard& shard, bool all);
  /// Until nothing is left to write, or `limit`.
  Task<void> SaveAll(std::shared_ptr<RoomShard> shard, SteadyTime limit);
  /// Begins to remove what the store keeps of destroyed rooms that no record is about any more, if it is
  /// time.
  void ForgetDestroyed(RoomShard& shard);

 private:
  /// What is written of a room, with the records that are finished then.
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
  /// A newer owner writes from now on: what is here is not to be written by anybody.
  void OnSuperseded(const std::shared_ptr<RoomShard>& shard);

  asio::any_io_executor executor_;
  sharding::ShardOwner& owner_;
  RoomStore& store_;
  const Clock& clock_;
  MucMetrics& metrics_;
};

}  // namespace rookery::muc
