#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// Reading the shards that the consumer group gives us.
class ShardLog {
 public:
  virtual ~ShardLog() = default;
  virtual void Seek(std::uint32_t shard, std::int64_t offset) = 0;
  virtual void Pause(std::uint32_t shard) = 0;
  virtual void Resume(std::uint32_t shard) = 0;
  /// -1: nothing was ever committed.
  virtual Task<absl::StatusOr<std::int64_t>> Committed(std::uint32_t shard) = 0;
  /// The oldest offset that the log still has.
  virtual Task<absl::StatusOr<std::int64_t>> Beginning(std::uint32_t shard) = 0;
  virtual Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::uint32_t shard, std::int64_t unix_millis) = 0;
  /// FAILED_PRECONDITION: we are no member of the group any more.
  virtual Task<absl::Status> Commit(std::vector<std::pair<std::uint32_t, std::int64_t>> cursors) = 0;
  virtual void Released(std::uint32_t shard) = 0;
};

/// Which gateways there are and who owns what, shared with the cluster.
class Membership {
 public:
  virtual ~Membership() = default;
  /// Instances of gateways as Redis knows them.
  virtual std::vector<std::string> Gateways() const = 0;
  /// False while there may be one that Gateways() does not show yet, since this process has only
  /// just read Redis for the first time, or not yet.
  virtual bool KnowsAllGateways() const = 0;
  virtual void PublishShards(const std::vector<std::pair<std::uint32_t, std::int64_t>>& epochs) = 0;
};

}  // namespace rookery::session_manager
