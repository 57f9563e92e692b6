#include "adapters/kafka_shard_log.h"

namespace rookery::session_manager {

namespace {
std::int32_t P(std::uint32_t shard) { return static_cast<std::int32_t>(shard); }
std::uint32_t S(std::int32_t partition) { return static_cast<std::uint32_t>(partition); }
}  // namespace

void KafkaShardLog::Seek(std::uint32_t shard, std::int64_t offset) { consumer_->Seek(P(shard), offset); }
void KafkaShardLog::Pause(std::uint32_t shard) { consumer_->Pause(P(shard)); }
void KafkaShardLog::Resume(std::uint32_t shard) { consumer_->Resume(P(shard)); }

Task<absl::StatusOr<std::int64_t>> KafkaShardLog::Committed(std::uint32_t shard) {
  return consumer_->Committed(P(shard));
}

Task<absl::StatusOr<std::int64_t>> KafkaShardLog::Beginning(std::uint32_t shard) {
  auto watermarks = co_await consumer_->Watermarks(P(shard));
  if (!watermarks.ok()) co_return watermarks.status();
  co_return watermarks->first;
}

Task<absl::StatusOr<std::int64_t>> KafkaShardLog::OffsetForTime(std::uint32_t shard,
                                                                std::int64_t unix_millis) {
  return consumer_->OffsetForTime(P(shard), unix_millis);
}

Task<absl::Status> KafkaShardLog::Commit(std::vector<std::pair<std::uint32_t, std::int64_t>> cursors) {
  std::vector<kafka::Consumer::Position> positions;
  positions.reserve(cursors.size());
  for (const auto& [shard, offset] : cursors) positions.push_back({P(shard), offset});
  return consumer_->Commit(std::move(positions));
}

void KafkaShardLog::Released(std::uint32_t shard) { consumer_->ReleaseDone(P(shard)); }

void KafkaShardLog::OnAssigned(std::int32_t partition) { keeper_->OnAssigned(S(partition)); }
void KafkaShardLog::OnRevoking(std::int32_t partition) { keeper_->OnRevoking(S(partition)); }
void KafkaShardLog::OnLost(std::int32_t partition) { keeper_->OnLost(S(partition)); }
void KafkaShardLog::OnRecord(const kafka::Record& record) {
  keeper_->OnRecord(S(record.partition), record.offset, record.timestamp_ms, record.value);
}

}  // namespace rookery::session_manager
