#pragma once

#include <cstdint>
#include <memory>

#include "domain/core.h"

namespace rookery::session_manager {

/// Ownership of shards: fence, recovery, cursor, hand-over, and what a process does
/// that finds it has stood still (design, "Who owns a shard").
class ShardKeeper {
 public:
  explicit ShardKeeper(Core& core) : core_(core) {}

  /// From the consumer group.
  void OnAssigned(std::uint32_t shard);
  void OnRevoking(std::uint32_t shard);
  void OnLost(std::uint32_t shard);
  void OnRecord(std::uint32_t shard, std::int64_t offset, std::int64_t timestamp_ms, std::string_view value);

  /// Our fence came back from the log: every older record has been applied.
  void OnOwnFence(Shard& shard, std::int64_t offset);

  /// Every so often.
  void CommitCursors();
  void Sweep();
  /// Called before anything is done with what arrives: notices that this process was frozen.
  void NoteTime();

  std::size_t owned() const;
  std::size_t live() const;
  /// SIGTERM: every session whose client is away is in the store when this ends.
  Task<void> FinishAll(std::chrono::milliseconds timeout);

 private:
  Task<void> Acquire(std::shared_ptr<Shard> shard);
  Task<void> AwaitGateways(std::shared_ptr<Shard> shard);
  Task<void> HandOver(std::shared_ptr<Shard> shard);
  Task<void> Commit();
  Task<void> CheckOwnership();
  void GoLive(Shard& shard);
  void Announce(const Shard& shard);
  void PublishShards();
  bool AllGatewaysAttached(const Shard& shard) const;

  Core& core_;
  SteadyTime last_seen_ = SteadyTime::min();
  bool committing_ = false;
};

}  // namespace rookery::session_manager
