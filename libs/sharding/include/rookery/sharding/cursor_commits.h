#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "rookery/base/clock.h"
#include "rookery/kafka/consumer.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/kept_cursors.h"
#include "rookery/sharding/shard_metrics.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::sharding {

/// Commits the cursors of this process's shards, one commit at a time, and knows from that whether Kafka
/// answers. Owned by the ShardOwner, whose shards and consumer it looks at. I/O thread only.
class CursorCommits {
 public:
  using Shards = std::map<std::uint32_t, std::shared_ptr<Shard>>;

  /// Told what the service throws when it hears of a commit.
  using OnFailed = std::function<void(Shard&, const std::exception&)>;

  CursorCommits(const Clock& clock, const KeptCursors& kept_cursors, const ShardMetrics& metrics,
                const Shards& shards, const std::unique_ptr<kafka::Consumer>& consumer, OnFailed on_failed)
      : clock_(clock),
        kept_cursors_(kept_cursors),
        metrics_(metrics),
        shards_(shards),
        consumer_(consumer),
        on_failed_(std::move(on_failed)) {}

  /// Commits those that have moved, unless a commit is under way. `tasks` must end before this does.
  void Begin(ShardService& service, runtime::TaskGroup& tasks);
  /// The group has taken `cursor` for the shard.
  void NoteCommitted(Shard& shard, std::int64_t cursor) const;
  /// Why Kafka seems to be away, or empty.
  std::string Trouble() const;

 private:
  Task<void> Commit(ShardService& service);
  Task<void> Probe();
  void NoteContact(absl::Status status);

  const Clock& clock_;
  const KeptCursors& kept_cursors_;
  const ShardMetrics& metrics_;
  const Shards& shards_;
  const std::unique_ptr<kafka::Consumer>& consumer_;
  const OnFailed on_failed_;
  bool is_committing_ = false;
  SteadyTime asked_at_ = SteadyTime::max();
  absl::Status last_contact_;
};

}  // namespace rookery::sharding
