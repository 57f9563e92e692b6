#include "rookery/sharding/shard_consumer.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "rookery/base/check.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {
namespace {

constexpr std::chrono::milliseconds kTick{1'000};
constexpr std::chrono::milliseconds kRetry{500};
// The driver asks again for much longer than this.
constexpr std::chrono::milliseconds kPatience{3'000};

}  // namespace

ShardConsumer::ShardConsumer(asio::any_io_executor executor, Start start, telemetry::Metrics& metrics,
                             std::function<void(const kafka::Record&)> on_record,
                             std::function<void()> on_change)
    : start_(start),
      on_record_(std::move(on_record)),
      on_change_(std::move(on_change)),
      owned_gauge_(metrics.Gauge("owned_shards", "Shards that this process owns and reads")),
      records_read_(metrics.Counter("records_read_total", "Records read from the log")),
      records_committed_(metrics.Counter("records_committed_total",
                                         "Records that will not be read again: their commit is done")),
      failed_commits_(metrics.Counter("failed_commits_total", "Commits of offsets that Kafka did not take")),
      tasks_(executor),
      commit_timer_(executor, kTick, [this] { Tick(); }) {}

ShardConsumer::~ShardConsumer() = default;

void ShardConsumer::Attach(std::unique_ptr<kafka::Consumer> consumer) {
  ROOKERY_CHECK(consumer_ == nullptr);
  consumer_ = std::move(consumer);
}

Task<void> ShardConsumer::Close(std::chrono::milliseconds timeout) {
  co_await consumer_->Close(timeout);
  co_await tasks_.Stop();
}

std::size_t ShardConsumer::owned() const {
  return static_cast<std::size_t>(std::count_if(shards_.begin(), shards_.end(),
                                                [](const auto& entry) { return entry.second.is_reading; }));
}

bool ShardConsumer::Owns(std::uint32_t shard) const {
  const auto found = shards_.find(static_cast<std::int32_t>(shard));
  return found != shards_.end() && found->second.is_reading;
}

std::map<std::uint32_t, std::int64_t> ShardConsumer::epochs() const {
  std::map<std::uint32_t, std::int64_t> epochs;
  for (const auto& [partition, shard] : shards_) {
    if (shard.is_reading) epochs[static_cast<std::uint32_t>(partition)] = shard.epoch;
  }
  return epochs;
}

absl::Status ShardConsumer::Contact() const {
  if (is_talking_ && std::chrono::steady_clock::now() - talking_since_ > kPatience) {
    return absl::UnavailableError("no answer");
  }
  return last_contact_;
}

void ShardConsumer::OnAssigned(std::int32_t partition) {
  const std::uint64_t assignment = ++assignments_;
  shards_[partition] = {.assignment = assignment};
  tasks_.Spawn("begin shard", Begin(partition, assignment));
}

void ShardConsumer::OnRevoking(std::int32_t partition) {
  const auto found = shards_.find(partition);
  if (found == shards_.end() || !found->second.is_reading) {
    Forget(partition, "shard.released");
    consumer_->ReleaseDone(partition);
    return;
  }
  tasks_.Spawn("release shard", GiveBack(partition, found->second.assignment));
}

void ShardConsumer::OnLost(std::int32_t partition) { Forget(partition, "shard.lost"); }

void ShardConsumer::OnRecord(const kafka::Record& record) {
  const auto found = shards_.find(record.partition);
  if (found == shards_.end() || !found->second.is_reading) return;
  on_record_(record);
  records_read_.Increment();
  found->second.next = record.offset + 1;
}

Task<void> ShardConsumer::Begin(std::int32_t partition, std::uint64_t assignment) {
  for (;;) {
    const absl::StatusOr<Shard> begun = co_await FindStart(partition, assignment);
    Shard* const shard = Find(partition, assignment);
    if (shard == nullptr) co_return;
    if (begun.ok()) {
      *shard = *begun;
      consumer_->Seek(partition, shard->next);
      OwnershipChanged();
      telemetry::LogInfo("shard.owned", {{"shard", partition}, {"offset", shard->next}});
      co_return;
    }
    telemetry::LogWarn("shard.start_failed", {{"shard", partition}, {"error", begun.status().message()}});
    co_await runtime::Sleep(kRetry);
    if (Find(partition, assignment) == nullptr) co_return;
  }
}

Task<absl::StatusOr<ShardConsumer::Shard>> ShardConsumer::FindStart(std::int32_t partition,
                                                                    std::uint64_t assignment) {
  Shard shard{.assignment = assignment, .is_reading = true};
  const absl::StatusOr<std::int64_t> committed = co_await consumer_->Committed(partition);
  ROOKERY_CO_RETURN_IF_ERROR(committed.status());
  const absl::StatusOr<std::pair<std::int64_t, std::int64_t>> range =
      co_await consumer_->Watermarks(partition);
  ROOKERY_CO_RETURN_IF_ERROR(range.status());
  shard.epoch = range->second;
  shard.committed = *committed;
  if (*committed < 0) {
    // `committed` stays behind `next`, so the start itself is committed soon: without
    // that a process killed before its first record would begin at a later end.
    shard.next = start_ == Start::kBeginning ? range->first : range->second;
  } else {
    // What the topic's retention has removed cannot be read any more.
    shard.next = std::max(*committed, range->first);
  }
  shard.counted = shard.next;
  co_return shard;
}

Task<void> ShardConsumer::GiveBack(std::int32_t partition, std::uint64_t assignment) {
  Shard* shard = Find(partition, assignment);
  if (shard == nullptr) co_return;
  if (shard->next != shard->committed) {
    const std::int64_t next = shard->next;
    std::vector<kafka::Consumer::Position> last{{partition, next}};
    absl::Status status = co_await consumer_->Commit(std::move(last));
    // Lost while we were committing: the group does not wait for us.
    shard = Find(partition, assignment);
    if (shard != nullptr && status.ok()) Committed(*shard, next);
    NoteCommit(std::move(status));
    if (shard == nullptr) co_return;
  }
  Forget(partition, "shard.released");
  consumer_->ReleaseDone(partition);
}

void ShardConsumer::Tick() {
  if (is_talking_ || consumer_ == nullptr) return;
  if (shards_.empty()) {
    tasks_.Spawn("probe", Probe());
  } else {
    tasks_.Spawn("commit", Commit());
  }
}

// Whoever owns nothing commits nothing, and would not notice that Kafka is away.
Task<void> ShardConsumer::Probe() {
  is_talking_ = true;
  talking_since_ = std::chrono::steady_clock::now();
  const absl::StatusOr<std::pair<std::int64_t, std::int64_t>> range = co_await consumer_->Watermarks(0);
  is_talking_ = false;
  last_contact_ = range.status();
}

Task<void> ShardConsumer::Commit() {
  std::vector<kafka::Consumer::Position> positions;
  std::vector<std::uint64_t> assignments;
  for (const auto& [partition, shard] : shards_) {
    if (!shard.is_reading || shard.next == shard.committed) continue;
    positions.push_back({partition, shard.next});
    assignments.push_back(shard.assignment);
  }
  if (positions.empty()) co_return;
  is_talking_ = true;
  talking_since_ = std::chrono::steady_clock::now();
  absl::Status status = co_await consumer_->Commit(positions);
  is_talking_ = false;
  if (status.ok()) {
    for (std::size_t i = 0; i < positions.size(); ++i) {
      if (Shard* const shard = Find(positions[i].partition, assignments[i])) {
        Committed(*shard, positions[i].offset);
      }
    }
  }
  NoteCommit(std::move(status));
}

void ShardConsumer::Committed(Shard& shard, std::int64_t offset) {
  shard.committed = offset;
  // An older commit may be answered after a newer one.
  if (offset <= shard.counted) return;
  records_committed_.Increment(static_cast<double>(offset - shard.counted));
  shard.counted = offset;
}

void ShardConsumer::Forget(std::int32_t partition, const char* event) {
  if (shards_.erase(partition) == 0) return;
  OwnershipChanged();
  telemetry::LogInfo(event, {{"shard", partition}});
}

ShardConsumer::Shard* ShardConsumer::Find(std::int32_t partition, std::uint64_t assignment) {
  const auto found = shards_.find(partition);
  return found != shards_.end() && found->second.assignment == assignment ? &found->second : nullptr;
}

void ShardConsumer::NoteCommit(absl::Status status) {
  if (absl::IsAborted(status)) return;  // in a rebalance the next one will do
  if (!status.ok()) {
    failed_commits_.Increment();
    telemetry::LogWarn("shard.commit_failed", {{"error", status.message()}});
  }
  last_contact_ = std::move(status);
}

void ShardConsumer::OwnershipChanged() {
  const std::size_t now = owned();
  if (now == 0) idle_since_ = std::chrono::steady_clock::now();
  owned_gauge_.Set(static_cast<double>(now));
  on_change_();
}

}  // namespace rookery::sharding
