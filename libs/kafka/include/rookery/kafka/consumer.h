#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/kafka/producer.h"

namespace rookery::kafka {

/// A record as it was read. Views live for the call only.
struct Record {
  std::int32_t partition;
  std::int64_t offset;
  std::int64_t timestamp_ms;
  std::string_view key;
  std::string_view value;
};

/// The calls by which a consumer of one topic tells its owner, on the I/O thread. A handler may call the
/// consumer, but not destroy it.
class ConsumerHandler {
 public:
  virtual ~ConsumerHandler() = default;
  /// The group gave us the partition. Nothing is read from it until Seek.
  virtual void OnAssigned(std::int32_t partition) = 0;
  /// The group takes the partition away in order: finish, commit, then call
  /// ReleaseDone(partition) within some seconds. No record of it follows.
  virtual void OnRevoking(std::int32_t partition) = 0;
  /// The partition is somebody else's already (we were away too long): forget it,
  /// do nothing in its name.
  virtual void OnLost(std::int32_t partition) = 0;
  virtual void OnRecord(const Record& record) = 0;
  /// The log does not have `wanted`, which was to be read next, but what is from `first` to before
  /// `end`: its beginning has gone (retention) or its end (an unclean election, a topic made anew).
  /// Reading goes on at `first` or at `end`, unless the handler seeks.
  virtual void OnOffsetMissing(std::int32_t partition, std::int64_t wanted, std::int64_t first,
                               std::int64_t end) {
    (void)partition, (void)wanted, (void)first, (void)end;
  }
};

/// A member of a consumer group on one topic, or, with an empty group, a reader of
/// all its partitions that commits nothing. Cooperative-sticky, dynamic membership,
/// session time-out 6 s. librdkafka fetches on its threads; records reach the
/// handler in batches on the I/O thread, which is never blocked. An I/O thread that does
/// not turn for 8 s loses its partitions. I/O thread only. Destroying it leaves the group
/// without a word (as a kill would) and blocks until librdkafka's threads have ended.
class Consumer {
 public:
  static absl::StatusOr<std::unique_ptr<Consumer>> Create(asio::io_context& io, const Options& options,
                                                          std::string topic, std::string group,
                                                          ConsumerHandler& handler,
                                                          telemetry::Metrics& metrics);
  virtual ~Consumer() = default;

  /// Begins (or goes on) to read the assigned partition at `offset`. No record from before
  /// the call is given after it. An offset that the log does not have any more (or not
  /// yet) is logged as an error, told (OnOffsetMissing) and moved to the first (or the end).
  virtual void Seek(std::int32_t partition, std::int64_t offset) = 0;
  /// Nothing of the partition is given until Resume; a bounded amount is fetched ahead.
  virtual void Pause(std::int32_t partition) = 0;
  virtual void Resume(std::int32_t partition) = 0;
  /// The offset committed for the partition, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t partition) = 0;
  /// The first offset whose record is not older than `unix_millis`, or the end.
  virtual Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t partition,
                                                           std::int64_t unix_millis) = 0;
  /// First offset that exists, and the end.
  virtual Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t partition) = 0;
  struct Position {
    std::int32_t partition;
    std::int64_t offset;  // the next to be read by whoever comes
  };
  /// Commits for partitions that we own. FAILED_PRECONDITION: we are not a member any
  /// more (the partitions are, or will be, somebody else's). ABORTED: a rebalance runs; try
  /// again while the partition is ours. UNAVAILABLE: no coordinator.
  virtual Task<absl::Status> Commit(std::vector<Position> positions) = 0;
  /// Answers OnRevoking. Without it the partition goes after 5 s, with OnLost.
  virtual void ReleaseDone(std::int32_t partition) = 0;
  /// Leaves the group in order: OnRevoking for everything, then the end.
  virtual Task<void> Close(std::chrono::milliseconds timeout) = 0;
};

}  // namespace rookery::kafka
