#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "domain/records/room_shard.h"
#include "domain/settings.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::muc {

struct MucMetrics;

/// Which rooms are in memory, and how much they take there. I/O thread only.
class RoomMemory {
 public:
  /// A room of which nobody has heard for so long is forgotten.
  static constexpr std::chrono::seconds kQuiet{60};
  /// The same for the address of a room that does not exist.
  static constexpr std::chrono::seconds kQuietWithoutRoom{5};

  RoomMemory(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
             MucMetrics& metrics)
      : settings_(settings), clock_(clock), metrics_(metrics), space_(std::move(executor)) {}

  /// A new slot: it is forgotten when its time comes.
  void Watch(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// The room has been loaded, or has changed.
  void Measure(RoomSlot& slot);
  /// Forgets rooms that are quiet.
  void ForgetQuiet(RoomShard& shard);
  /// While there is too much: forgets rooms that nothing is to be done for, those that were used least
  /// recently first.
  void ForgetLeastUsed(const sharding::ShardOwner& owner);
  /// The shard is not ours any more.
  void ForgetAll(RoomShard& shard);

  /// No room more is to be loaded.
  bool is_full() const { return bytes_ >= static_cast<std::size_t>(settings_.max_memory_bytes); }
  Task<void> AwaitSpace();
  std::size_t bytes() const { return bytes_; }
  /// Sessions in the rooms.
  std::size_t occupants() const { return occupants_; }

 private:
  static bool IsIdle(const RoomSlot& slot);
  void Forget(RoomShard& shard, RoomSlot& slot);
  void Uncount(RoomSlot& slot);

  const Settings& settings_;
  const Clock& clock_;
  MucMetrics& metrics_;
  std::size_t bytes_ = 0;
  std::size_t occupants_ = 0;
  /// Notified when there is less.
  runtime::Event space_;
};

}  // namespace rookery::muc
