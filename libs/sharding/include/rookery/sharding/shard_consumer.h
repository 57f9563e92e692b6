#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "rookery/kafka/consumer.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::sharding {

/// Where a shard is read from that nobody has committed an offset for.
enum class Start { kBeginning, kEnd };

/// Owns the shards (partitions of one topic) that the consumer group gives to this
/// process: reads each from its committed offset, commits what has been handled every
/// second, commits once more before it gives a shard back in order, and does nothing
/// any more in the name of one that was lost. I/O thread only.
class ShardConsumer final : public kafka::ConsumerHandler {
 public:
  /// `on_record` has handled the record when it returns. `on_change` is called whenever
  /// epochs() has changed.
  ShardConsumer(asio::any_io_executor executor, Start start, telemetry::Metrics& metrics,
                std::function<void(const kafka::Record&)> on_record, std::function<void()> on_change);
  ~ShardConsumer() override;

  /// The consumer whose handler this is; once, before it calls.
  void Attach(std::unique_ptr<kafka::Consumer> consumer);
  /// Gives every shard back and leaves the group.
  Task<void> Close(std::chrono::milliseconds timeout);

  /// Shards that are being read.
  std::size_t owned() const;
  bool Owns(std::uint32_t shard) const;
  /// The shards that are being read, each with the end of its log when it was taken. That
  /// never falls from owner to owner; as long as nothing is appended it stays.
  std::map<std::uint32_t, std::int64_t> epochs() const;
  /// Since when it has owned nothing. Only while owned() is 0.
  std::chrono::steady_clock::time_point idle_since() const { return idle_since_; }
  /// How the last talk with Kafka went (a commit, or, while no shard is ours, a question
  /// asked for this purpose), or UNAVAILABLE when an answer is long in coming. OK before
  /// the first.
  absl::Status Contact() const;

  void OnAssigned(std::int32_t partition) override;
  void OnRevoking(std::int32_t partition) override;
  void OnLost(std::int32_t partition) override;
  void OnRecord(const kafka::Record& record) override;
  void OnBatchEnd() override {}

  /// What the timer does every second.
  void TickForTest() { Tick(); }

 private:
  struct Shard {
    // Tells this assignment from an earlier one of the same shard.
    std::uint64_t assignment = 0;
    bool is_reading = false;
    std::int64_t epoch = -1;
    std::int64_t next = -1;
    std::int64_t committed = -1;
    // Up to where records_committed_ has counted.
    std::int64_t counted = -1;
  };

  Task<void> Begin(std::int32_t partition, std::uint64_t assignment);
  Task<absl::StatusOr<Shard>> FindStart(std::int32_t partition, std::uint64_t assignment);
  Task<void> GiveBack(std::int32_t partition, std::uint64_t assignment);
  void Tick();
  Task<void> Commit();
  Task<void> Probe();
  void Forget(std::int32_t partition, const char* event);
  /// nullptr when the shard is ours no more, or is so by a later assignment.
  Shard* Find(std::int32_t partition, std::uint64_t assignment);
  void NoteCommit(absl::Status status);
  void Committed(Shard& shard, std::int64_t offset);
  void OwnershipChanged();

  const Start start_;
  std::function<void(const kafka::Record&)> on_record_;
  std::function<void()> on_change_;
  std::map<std::int32_t, Shard> shards_;
  std::uint64_t assignments_ = 0;
  bool is_talking_ = false;
  std::chrono::steady_clock::time_point talking_since_;
  absl::Status last_contact_;
  std::chrono::steady_clock::time_point idle_since_ = std::chrono::steady_clock::now();
  prometheus::Gauge& owned_gauge_;
  prometheus::Counter& records_read_;
  prometheus::Counter& records_committed_;
  prometheus::Counter& failed_commits_;
  std::unique_ptr<kafka::Consumer> consumer_;
  runtime::TaskGroup tasks_;
  runtime::PeriodicTimer commit_timer_;
};

}  // namespace rookery::sharding
