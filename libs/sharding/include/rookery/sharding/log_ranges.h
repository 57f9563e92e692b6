#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/base/clock.h"
#include "rookery/kafka/consumer.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/duplicate_filter.h"
#include "rookery/sharding/kept_cursors.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::sharding {

/// The part of a shard's log that there is to read.
struct LogRange {
  /// -1: nobody has read the shard.
  std::int64_t committed = -1;
  std::int64_t first = 0;
  std::int64_t end = 0;
  /// Where the group has no cursor: of an owner that the service's store knows of, or -1; and whether that
  /// store keeps cursors.
  std::int64_t kept_epoch = -1;
  bool is_kept = false;
};
/// From where the log is read.
struct LookBack {
  std::int64_t offset = 0;
  /// ms since 1970: every later record is read.
  std::int64_t since_ms = 0;
};

/// From where to where the log of a shard is read: how far its last owner was, and how far back what may be
/// repeated lies. Asks the consumer that the owner has at the time. Owned by the ShardOwner. I/O thread only.
class LogRanges {
 public:
  LogRanges(const Clock& clock, std::chrono::milliseconds duplicate_horizon, const KeptCursors& kept_cursors,
            const std::unique_ptr<kafka::Consumer>& consumer)
      : clock_(clock),
        duplicate_horizon_(duplicate_horizon),
        kept_cursors_(kept_cursors),
        consumer_(consumer) {}

  /// DATA_LOSS: the shard's cursor is lost.
  Task<absl::StatusOr<LogRange>> Find(ShardService& service, std::uint32_t shard) const;
  /// The first record that must be read to know the repetitions of what is in the log now: what was said in
  /// two horizons before, not counting the time in which nothing was.
  Task<absl::StatusOr<LookBack>> FindLookBack(std::uint32_t shard, LogRange range) const;
  /// Both.
  Task<absl::Status> Find(ShardService& service, std::uint32_t shard, LogRange& range,
                          LookBack& look_back) const;

 private:
  /// Time is counted as the filter counts it.
  static constexpr int kSlices = DuplicateFilter::kSlices;
  /// So many are read again: two horizons, since gateways that were out of reach for more than one bring
  /// sessions of which the service has to know whether they are over.
  static constexpr int kSlicesBack = 2 * kSlices;
  std::int64_t SliceMs() const { return duplicate_horizon_.count() / kSlices; }
  /// A time that is not later than that of the record, by a slice at most. Neither is later than `not_after`.
  Task<absl::StatusOr<std::int64_t>> FindTime(std::uint32_t shard, std::int64_t offset,
                                              std::int64_t not_after) const;

  const Clock& clock_;
  const std::chrono::milliseconds duplicate_horizon_;
  const KeptCursors& kept_cursors_;
  const std::unique_ptr<kafka::Consumer>& consumer_;
};

}  // namespace rookery::sharding
