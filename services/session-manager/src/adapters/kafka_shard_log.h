#pragma once

#include <memory>

#include "domain/shard_keeper.h"
#include "ports/shard_log.h"
#include "rookery/kafka/consumer.h"

namespace rookery::session_manager {

/// The consumer group `session-managers` on `users`: gives shards to the ShardKeeper.
class KafkaShardLog final : public ShardLog, public kafka::ConsumerHandler {
 public:
  /// Both before the first event: the consumer calls back, the keeper calls down.
  void Attach(std::unique_ptr<kafka::Consumer> consumer) { consumer_ = std::move(consumer); }
  void Serve(ShardKeeper& keeper) { keeper_ = &keeper; }
  kafka::Consumer& consumer() { return *consumer_; }

  void Seek(std::uint32_t shard, std::int64_t offset) override;
  void Pause(std::uint32_t shard) override;
  void Resume(std::uint32_t shard) override;
  Task<absl::StatusOr<std::int64_t>> Committed(std::uint32_t shard) override;
  Task<absl::StatusOr<std::int64_t>> Beginning(std::uint32_t shard) override;
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::uint32_t shard, std::int64_t unix_millis) override;
  Task<absl::Status> Commit(std::vector<std::pair<std::uint32_t, std::int64_t>> cursors) override;
  void Released(std::uint32_t shard) override;

  void OnAssigned(std::int32_t partition) override;
  void OnRevoking(std::int32_t partition) override;
  void OnLost(std::int32_t partition) override;
  void OnRecord(const kafka::Record& record) override;
  void OnBatchEnd() override {}

 private:
  std::unique_ptr<kafka::Consumer> consumer_;
  ShardKeeper* keeper_ = nullptr;
};

}  // namespace rookery::session_manager
