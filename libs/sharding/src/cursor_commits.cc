#include "rookery/sharding/cursor_commits.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {

namespace {

/// The driver asks again for much longer than this.
constexpr std::chrono::seconds kPatience{3};

}  // namespace

void CursorCommits::Begin(ShardService& service, runtime::TaskGroup& tasks) {
  if (is_committing_) return;
  is_committing_ = true;
  if (shards_.empty()) {
    tasks.Spawn("shard.probe", Probe());
  } else {
    tasks.Spawn("shard.commit", Commit(service));
  }
}

std::string CursorCommits::Trouble() const {
  if (asked_at_ != SteadyTime::max() && clock_.Now() - asked_at_ > kPatience) return "Kafka: no answer";
  if (!last_contact_.ok()) return "Kafka: " + std::string(Message(last_contact_));
  return {};
}

Task<void> CursorCommits::Probe() {
  // Whoever owns nothing commits nothing, and would not notice that Kafka is away.
  asked_at_ = clock_.Now();
  const auto marks = co_await consumer_->Watermarks(0);
  asked_at_ = SteadyTime::max();
  is_committing_ = false;
  NoteContact(marks.status());
}

Task<void> CursorCommits::Commit(ShardService& service) {
  std::vector<kafka::Consumer::Position> cursors;
  std::vector<std::shared_ptr<Shard>> committing;
  for (const auto& [number, shard] : shards_) {
    if (shard->suspended || shard->phase == Shard::Phase::kAcquiring) continue;
    if (shard->window.cursor() == shard->last_commit) continue;
    cursors.push_back({static_cast<std::int32_t>(number), shard->window.cursor()});
    committing.push_back(shard);
  }
  if (cursors.empty()) {
    is_committing_ = false;
    co_return;
  }
  asked_at_ = clock_.Now();
  const absl::Status committed = co_await consumer_->Commit(cursors);
  asked_at_ = SteadyTime::max();
  is_committing_ = false;
  NoteContact(committed);
  if (!committed.ok()) co_return;
  for (std::size_t i = 0; i < committing.size(); ++i) NoteCommitted(*committing[i], cursors[i].offset);
  for (const auto& shard : committing) {
    if (shard->released()) continue;
    kept_cursors_.KeepIfDue(service, *shard);
    try {
      service.OnCommitted(*shard);
    } catch (const std::exception& failure) {
      on_failed_(*shard, failure);
      continue;
    }
  }
}

void CursorCommits::NoteCommitted(Shard& shard, std::int64_t cursor) const {
  const std::int64_t before = std::max(shard.last_commit, shard.committed);
  if (cursor > before) metrics_.committed.Increment(static_cast<double>(cursor - before));
  shard.last_commit = std::max(shard.last_commit, cursor);
  shard.follow_ups.Committed(shard.last_commit);
}

void CursorCommits::NoteContact(absl::Status status) {
  if (absl::IsAborted(status)) return;  // in a rebalance the next one will do
  if (!status.ok()) {
    metrics_.failed_commits.Increment();
    telemetry::LogWarn("shard.commit_failed", {{"error", Message(status)}});
  }
  last_contact_ = std::move(status);
}

}  // namespace rookery::sharding
