#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/base/backoff_delays.h"
#include "rookery/base/clock.h"
#include "rookery/events/log.h"
#include "rookery/kafka/consumer.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/cursor_commits.h"
#include "rookery/sharding/kept_cursors.h"
#include "rookery/sharding/log_ranges.h"
#include "rookery/sharding/shard_metrics.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::sharding {

struct OwnerOptions {
  std::string instance;
  events::Topic topic = events::Topic::kUsers;
  /// How far back a repeated record can lie. Half of it is the longest that a process may be away
  /// and still speak for its shards.
  std::chrono::milliseconds duplicate_horizon{120'000};
  /// The most that may be unfinished in one shard before nothing more is read from it.
  std::int64_t max_unfinished_records = 200'000;
  std::int64_t max_unfinished_bytes = std::int64_t{128} << 20;
  /// The most follow-up records of one shard that a new owner may have to repeat, since its cursor stands
  /// still: then nothing more is read from it. All their readers together remember 2 to 4 bytes of each.
  std::int64_t max_follow_ups = 8'000'000;
};

/// Ownership of shards for every sharded service: membership of the consumer group, fence and
/// epoch, recovery from the cursor, once-only application, back-pressure, commits, orderly hand-over,
/// and what a process does that finds it has stood still. The service brings the rest
/// (ShardService).
///
/// Leaves shards alone when it cannot do the work: after a freeze of more than half the duplicate
/// horizon it gives up all of them with whatever it still had to say, and takes those anew that the
/// group says are still its own; while the service is not able
/// for longer than kUnable it stays out of the group.
///
/// I/O thread only.
class ShardOwner final : public kafka::ConsumerHandler {
 public:
  static constexpr std::chrono::seconds kFreeze{3};
  static constexpr std::chrono::seconds kUnable{15};
  /// The tries for a record whose application fails.
  static constexpr int kTries = 2;
  /// Records that the log has refused are said again so much later.
  static constexpr BackoffOptions kSayAgain{std::chrono::milliseconds(200), std::chrono::seconds(10)};

  /// Called with the shards that are ours and their epochs whenever they change.
  using Publish = std::function<void(const std::map<std::uint32_t, std::int64_t>&)>;
  /// The epoch of a shard as it was published last, or -1: a hint that matters only when the log
  /// has become shorter. May be empty.
  using PublishedEpoch = std::function<Task<std::int64_t>(std::uint32_t)>;
  using MakeConsumer =
      std::function<absl::StatusOr<std::unique_ptr<kafka::Consumer>>(kafka::ConsumerHandler&)>;

  ShardOwner(asio::any_io_executor executor, const Clock& clock, OwnerOptions options, events::Log& log,
             Publish publish, PublishedEpoch published_epoch, telemetry::Metrics& metrics);
  ~ShardOwner() override;

  /// Joins the group for the service, and does from now on by itself what is due (Tick, CommitCursors).
  absl::Status Join(ShardService& service, MakeConsumer make_consumer);
  /// Hands every shard over and leaves the group.
  Task<void> Leave(std::chrono::milliseconds timeout);
  /// Calls the service no more, and has no shard any more; tells nobody. For a service that dies before its
  /// owner, after Leave or instead.
  void End();

  /// Null unless the shard is ours.
  Shard* Find(std::uint32_t number) const;
  std::shared_ptr<Shard> Shared(std::uint32_t number) const;
  const std::map<std::uint32_t, std::shared_ptr<Shard>>& shards() const { return shards_; }
  std::map<std::uint32_t, std::int64_t> epochs() const;
  std::size_t owned() const { return shards_.size(); }
  std::size_t live() const;
  /// Why this process should not be given work, or empty: Kafka is away, shards are being
  /// recovered, or none has been assigned in the time that a group needs to settle.
  std::string NotReadyReason() const;

  /// Appends what follows from the shard. Its origin is filled before (FillOrigin). `done` is
  /// called with the shard, which may have been released by then, and what Log::OnAppended is told.
  template <typename ServiceShard, typename Done>
  void Append(ServiceShard& from, events::Topic topic, std::uint32_t partition, std::string_view key,
              const google::protobuf::MessageLite& record, Done done) {
    ++from.appends_in_flight;
    // One closure for both of us: each would be an allocation for each record.
    log_.Append(topic, partition, key, record,
                [shard = std::static_pointer_cast<ServiceShard>(from.shared_from_this()),
                 done = std::move(done)](const absl::StatusOr<std::int64_t>& offset) mutable {
                  done(*shard, offset);
                  NoteAppended(*shard);
                });
  }
  /// Where a record goes.
  struct Place {
    events::Topic topic;
    std::uint32_t partition = 0;
    std::string key;
  };
  /// Returns what is to be said now, valid until the next call; null: it need not be said any more.
  using MakeRecord = std::function<const google::protobuf::MessageLite*()>;
  using OnRefused = std::function<void(const absl::Status&)>;
  /// A coroutine of the shard, for what has to be made anew each time that it is said (FollowUpWriter does
  /// the rest): appends until the log takes it, with the pauses of kSayAgain. Returns the
  /// offset, or -1 when it was not needed any more.
  Task<std::int64_t> AppendUntilTaken(std::shared_ptr<Shard> from, Place place, MakeRecord make,
                                      OnRefused on_refused = {});
  /// Fills in whose word it is; the caller adds what it follows from.
  void FillOrigin(const Shard& from, events::v1::Origin& origin) const;
  /// Fills in the origin of a record that follows from the shard's own at `offset`; `part` numbers those that
  /// do, from 1.
  void FillOrigin(Shard& from, std::int64_t offset, std::uint32_t part, events::v1::Origin& origin) const;

  /// The record at `offset` belongs to nobody of the shard: it is logged and counted.
  void NoteMisplaced(const Shard& shard, std::int64_t offset) const;

  /// Returns when all that is in the shard's log now has been given to the service, or the shard is not ours
  /// any more. UNAVAILABLE: Kafka does not say how much that is. DEADLINE_EXCEEDED: it was not by `limit`.
  Task<absl::Status> AwaitAllRead(std::shared_ptr<Shard> shard, Deadline limit);

  /// A store knows of a newer owner, whom the log has not shown us yet. The shard is soon forgotten, not
  /// within the call, and acquired afresh if the group says that it is ours all the same: the other's fence
  /// was a late one.
  void Doubt(std::shared_ptr<Shard> shard);
  /// Applying the record at `offset` ended with an exception, half-way: what the service has of the shard is
  /// not to be trusted. The shard is soon forgotten, not within the call, and acquired afresh. A record that
  /// has failed kTries times is taken for one that cannot be read; each such record makes the pauses before
  /// further acquisitions longer, as a failed step does. Where it was memory that lacked, the process ends.
  void NoteFailed(Shard& shard, std::int64_t offset, const std::exception& failure);
  /// A step in the life of the shard has ended with an exception: it is acquired afresh, after pauses that
  /// grow (kSayAgain) with the failures of the last ten minutes (FailedSteps).
  void NoteStepFailed(Shard& shard, std::string_view step, const std::exception& failure);
  /// What the service was asked to do has ended with an exception, which no shard need be given up for: it is
  /// counted and logged as a failed step, with its `consequence`. Where it was memory that lacked, the
  /// process ends.
  void NoteActionFailed(std::string_view action, const std::exception& failure, std::string_view consequence);
  /// The log takes nothing any more before Log::DropInFlight, and does not say what it has of what is under
  /// way (kafka::Producer::OnBroken). All shards are given up and acquired afresh.
  void OnLogBroken();
  /// More is on its way to the log than may be (events::Log).
  bool is_congested() const { return log_.is_congested(); }

  /// Before anything is done with what arrives: notices that this process was frozen.
  void NoteTime();
  /// Commits cursors that have moved. Every 500 ms, and when somebody waits for it.
  void CommitCursors();
  /// Every 500 ms.
  void Tick();

  // From the consumer.
  void OnAssigned(std::int32_t partition) override;
  void OnRevoking(std::int32_t partition) override;
  void OnLost(std::int32_t partition) override;
  void OnRecord(const kafka::Record& record) override;
  void OnOffsetMissing(std::int32_t partition, std::int64_t wanted, std::int64_t first,
                       std::int64_t end) override;

  /// In place of Join: no timers.
  void JoinForTest(ShardService& service, std::unique_ptr<kafka::Consumer> consumer) {
    service_ = &service;
    consumer_ = std::move(consumer);
  }
  /// In place of Join: no timers, and able to leave the group and join it again.
  void JoinForTest(ShardService& service, std::unique_ptr<kafka::Consumer> consumer,
                   MakeConsumer make_consumer) {
    JoinForTest(service, std::move(consumer));
    make_consumer_ = std::move(make_consumer);
  }
  const ShardMetrics& metrics() const { return metrics_; }

 private:
  /// The state that this process had of the shard just before.
  struct FormerLife {
    /// -1: it had not been read.
    std::int64_t cursor = 0;
    std::int64_t epoch = -1;
    /// The log has become shorter meanwhile.
    bool was_cut = false;
    /// Where it ended.
    std::int64_t end = 0;
    std::optional<Shard::RecordMark> newest_read;
    std::map<std::int64_t, int> failures;
    FailedSteps failed_steps;
  };
  void Begin(std::uint32_t number, std::optional<FormerLife> former);
  /// Whether it is our fence, or one that comes behind it.
  bool IsFence(const Shard& shard, std::int64_t offset, const ShardService::Parsed& parsed) const;
  /// Forgets the shard, and acquires it with a new fence if the group says that it is ours.
  void BeginAnew(const std::shared_ptr<Shard>& shard, bool was_cut);
  Task<void> Acquire(std::shared_ptr<Shard> shard, std::optional<FormerLife> former);
  /// An exception has ended a coroutine of the shard: it is acquired afresh, where that may help.
  void NoteTaskFailed(Shard& shard, const char* task, const std::exception& failure);
  // HasLost to HandOver: what a shard's coroutines (Shard::Spawn) are made of.
  /// Asks until Kafka says it: whether the log ends before `end`.
  Task<bool> HasLost(std::uint32_t number, std::int64_t end);
  /// Returns when the group has taken a commit for the shard: whether there was a cursor before.
  Task<bool> AwaitCertainty(std::shared_ptr<Shard> shard, std::int64_t cursor);
  void NoteNoOffsets(Shard& shard, const absl::Status& why);
  Task<void> AppendFence(std::shared_ptr<Shard> shard, std::int64_t least_epoch, bool was_cut);
  Task<void> HandOver(std::shared_ptr<Shard> shard);
  void NoteLeavingFailed(const Shard& shard, std::string_view step, const std::exception& failure);
  /// Waits until all that a former turn still has under way to the log is there, or sees to it that it is not
  /// said any more.
  Task<void> AwaitLastWords(std::shared_ptr<Shard> former);
  Task<void> AwaitAppends(std::shared_ptr<Shard> shard);
  Task<void> CheckOwnership();
  Task<void> AwaitCalm();
  Task<void> StayOut();
  /// The log begins behind what was to be read.
  void NoteExpired(std::uint32_t number, std::int64_t wanted, std::int64_t first);
  /// A fence behind ours: somebody has owned the shard since.
  void Supersede(const std::shared_ptr<Shard>& shard, const events::v1::Fence& fence);
  Task<void> ForgetDoubted(std::shared_ptr<Shard> shard);
  Task<void> ForgetFailed(std::shared_ptr<Shard> shard);
  void Read(const kafka::Record& read);
  /// Forgets what has failed, with all that the service has of the shard.
  void GiveUpFailed(Shard& shard);
  /// Every record before our fence has been applied, or waits in the service.
  void OnFenceRead(Shard& shard);
  Task<void> Settle(std::shared_ptr<Shard> shard);
  void EndSettling(Shard& shard);
  void GoLive(Shard& shard);
  /// The shard is not ours any more.
  void Drop(const std::shared_ptr<Shard>& shard);
  /// Gives all shards up, with everything that was still to be said.
  void Surrender(std::string_view why);
  static void NoteAppended(Shard& from);
  void UpdatePause(Shard& shard);
  void PublishShards();

  asio::any_io_executor executor_;
  const Clock& clock_;
  const OwnerOptions options_;
  events::Log& log_;
  /// Null before it has joined.
  ShardService* service_ = nullptr;
  Publish publish_;
  PublishedEpoch published_epoch_;
  KeptCursors kept_cursors_;
  const LogRanges ranges_;
  ShardMetrics metrics_;
  std::map<std::uint32_t, std::shared_ptr<Shard>> shards_;
  CursorCommits commits_;
  SteadyTime last_seen_ = SteadyTime::min();
  /// The same by the wall clock: since 1970.
  std::chrono::milliseconds last_seen_wall_{0};
  SteadyTime unable_since_ = SteadyTime::max();
  SteadyTime idle_since_;
  /// Freezes after which ownership was in doubt.
  std::uint64_t doubts_ = 0;
  bool is_checking_ = false;
  bool is_congested_ = false;
  bool is_leaving_ = false;
  bool is_out_ = false;
  /// While it is out.
  runtime::Event able_again_;
  MakeConsumer make_consumer_;
  /// One that has nothing and is asked in vain, while this process is no member: a coroutine that asked the
  /// last one goes on with it.
  std::unique_ptr<kafka::Consumer> consumer_;
  std::unique_ptr<runtime::PeriodicTimer> timer_;
  // Last: its coroutines use everything above.
  std::unique_ptr<runtime::TaskGroup> tasks_;
};

}  // namespace rookery::sharding
