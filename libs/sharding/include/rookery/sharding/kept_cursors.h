#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::sharding {

/// The cursors of shards as the service's store has them (ShardService::KeepCursor). A consumer group that
/// has no member for longer than the broker's `offsets.retention.minutes` (7 days) loses its own: without
/// these a new owner would take the shard for one that nobody has had, and apply all that its log still has
/// once more. Owned by the ShardOwner. I/O thread only.
class KeptCursors {
 public:
  /// How old the store's cursor of a shard that is read all the time is at most.
  static constexpr std::chrono::minutes kEvery{1};
  /// As ShardOwner::PublishedEpoch.
  using PublishedEpoch = std::function<Task<std::int64_t>(std::uint32_t)>;

  KeptCursors(asio::any_io_executor executor, const Clock& clock, PublishedEpoch published_epoch)
      : executor_(std::move(executor)), clock_(clock), published_epoch_(std::move(published_epoch)) {}

  struct Found {
    /// -1: nobody has read the shard yet, or not this log of it.
    std::int64_t cursor = -1;
    /// The epoch of the newest owner that is known, or -1.
    std::int64_t epoch = -1;
    /// Whether the service keeps cursors at all.
    bool is_kept = false;
  };
  /// Finds the cursor of a shard for which the group has none, and whose log ends at `end`. DATA_LOSS: it has
  /// had an owner, and nobody knows any more how far that one was. Other errors are the store's.
  Task<absl::StatusOr<Found>> Find(ShardService& service, std::uint32_t number, std::int64_t end) const;

  /// Begins to write down the shard's committed cursor, if it has moved and the last one is old.
  void KeepIfDue(ShardService& service, Shard& shard) const;
  /// Writes down at once up to where the shard's records are finished. Returns when the store has it or has
  /// refused it, or at `limit`; `tasks` go on with it.
  Task<void> Keep(ShardService& service, runtime::TaskGroup& tasks, std::shared_ptr<Shard> shard,
                  SteadyTime limit) const;

 private:
  static Task<void> Write(ShardService& service, std::shared_ptr<Shard> shard, std::int64_t cursor,
                          std::function<void()> then);

  asio::any_io_executor executor_;
  const Clock& clock_;
  const PublishedEpoch published_epoch_;
};

}  // namespace rookery::sharding
