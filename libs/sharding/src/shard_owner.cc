#include "rookery/sharding/shard_owner.h"

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cstdlib>
#include <new>

#include "absl/hash/hash.h"
#include "no_consumer.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/runtime/event.h"
#include "rookery/sharding/log_verdict.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {

namespace {

constexpr std::chrono::milliseconds kPeriod{500};
/// A revocation waits no longer than the group does (kafka/consumer.h): 2 s for what the service
/// puts into stores, then the log.
constexpr std::chrono::milliseconds kHandOver{2'000};
constexpr std::chrono::milliseconds kAppendsOut{1'000};
/// Records that a former turn of a shard has under way may come for this part of the duplicate horizon: half
/// of it is the time in which readers take what a former owner says (DuplicateFilter), all of it what every
/// one of them has read.
constexpr int kLastWords = 4;
/// A group has settled by then even when a member was killed (6 s). A member that owns nothing afterwards is
/// one replica more than there are shards, and as ready as it will be.
constexpr std::chrono::seconds kSettled{10};
constexpr std::chrono::milliseconds kCalm{20};
constexpr std::chrono::milliseconds kOutTimeout{5'000};

/// After so many the pauses have grown as long as they get.
constexpr int kMostFailedLives = 10;
/// Records that are given up make the next pause as long as so many lives.
constexpr int kMostLivesOfRecords = 3;

std::int32_t P(std::uint32_t shard) { return static_cast<std::int32_t>(shard); }

bool LacksMemory(const std::exception& failure) {
  return dynamic_cast<const std::bad_alloc*>(&failure) != nullptr;
}

bool IsCancelled(const std::exception& failure) {
  const auto* const error = dynamic_cast<const boost::system::system_error*>(&failure);
  return error != nullptr && error->code() == asio::error::operation_aborted;
}

constexpr std::string_view kAcquiredAfresh = "the shard is acquired afresh";
constexpr std::string_view kProcessEnds = "the process ends, and others take the shard";

std::string_view ConsequenceOf(const std::exception& failure) {
  return LacksMemory(failure) ? kProcessEnds : kAcquiredAfresh;
}

[[noreturn]] void EndProcess() {
  telemetry::FlushLog();
  std::abort();
}

void EndWithoutMemory(const std::exception& failure) {
  if (LacksMemory(failure)) EndProcess();
}

}  // namespace

ShardOwner::ShardOwner(asio::any_io_executor executor, const Clock& clock, OwnerOptions options,
                       events::Log& log, Publish publish, PublishedEpoch published_epoch,
                       telemetry::Metrics& metrics)
    : executor_(executor),
      clock_(clock),
      options_(std::move(options)),
      log_(log),
      publish_(std::move(publish)),
      published_epoch_(std::move(published_epoch)),
      kept_cursors_(executor, clock, published_epoch_),
      ranges_(clock, options_.duplicate_horizon, kept_cursors_, consumer_),
      metrics_(metrics),
      commits_(
          clock, kept_cursors_, metrics_, shards_, consumer_,
          [this](Shard& shard, const std::exception& failure) { NoteStepFailed(shard, "commit", failure); }),
      idle_since_(clock.Now()),
      able_again_(executor),
      consumer_(std::make_unique<NoConsumer>()),
      tasks_(std::make_unique<runtime::TaskGroup>(executor)) {
  metrics.OnScrape([this] {
    std::size_t records = 0, bytes = 0, follow_ups = 0, remembered = 0, remembered_bytes = 0;
    for (const auto& [number, shard] : shards_) {
      records += shard->window.size();
      bytes += shard->window.bytes();
      follow_ups += shard->follow_ups.count();
      remembered += shard->duplicates.clients() + shard->duplicates.remembered();
      remembered_bytes += shard->duplicates.remembered_bytes();
    }
    metrics_.unfinished_records.Set(static_cast<double>(records));
    metrics_.unfinished_bytes.Set(static_cast<double>(bytes));
    metrics_.follow_ups.Set(static_cast<double>(follow_ups));
    metrics_.remembered.Set(static_cast<double>(remembered));
    metrics_.remembered_bytes.Set(static_cast<double>(remembered_bytes));
    metrics_.live.Set(static_cast<double>(live()));
  });
}

ShardOwner::~ShardOwner() = default;

// ---- the group ----------------------------------------------------------------

absl::Status ShardOwner::Join(ShardService& service, MakeConsumer make_consumer) {
  service_ = &service;
  make_consumer_ = std::move(make_consumer);
  ROOKERY_ASSIGN_OR_RETURN(consumer_, make_consumer_(*this));
  timer_ = std::make_unique<runtime::PeriodicTimer>(executor_, kPeriod, [this] {
    Tick();
    CommitCursors();
  });
  return absl::OkStatus();
}

Task<void> ShardOwner::Leave(std::chrono::milliseconds timeout) {
  is_leaving_ = true;
  co_await consumer_->Close(timeout);
  timer_.reset();
  co_await tasks_->Stop();
}

void ShardOwner::End() {
  timer_.reset();
  tasks_.reset();
  consumer_ = std::make_unique<NoConsumer>();
  shards_.clear();
}

Task<void> ShardOwner::StayOut() {
  metrics_.surrenders.Increment();
  telemetry::LogError("shards.given_up", {{"reason", "the service cannot do the work of an owner"}});
  co_await consumer_->Close(kOutTimeout);
  consumer_ = std::make_unique<NoConsumer>();
  // For shards that could not be handed over in that time.
  for (const auto& [number, shard] : std::map(shards_)) OnLost(P(number));
  while (!service_->is_able()) co_await able_again_.Wait();
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    auto made = make_consumer_(*this);
    if (made.ok()) {
      consumer_ = *std::move(made);
      break;
    }
    telemetry::LogWarn("shards.join_failed", {{"error", Message(made.status())}});
  }
  is_out_ = false;
  unable_since_ = SteadyTime::max();
}

Shard* ShardOwner::Find(std::uint32_t number) const {
  const auto found = shards_.find(number);
  return found == shards_.end() ? nullptr : found->second.get();
}

std::shared_ptr<Shard> ShardOwner::Shared(std::uint32_t number) const {
  const auto found = shards_.find(number);
  return found == shards_.end() ? nullptr : found->second;
}

std::map<std::uint32_t, std::int64_t> ShardOwner::epochs() const {
  std::map<std::uint32_t, std::int64_t> epochs;
  for (const auto& [number, shard] : shards_)
    if (shard->epoch >= 0) epochs[number] = shard->epoch;
  return epochs;
}

std::size_t ShardOwner::live() const {
  return static_cast<std::size_t>(
      std::count_if(shards_.begin(), shards_.end(), [](const auto& entry) { return entry.second->live(); }));
}

std::string ShardOwner::NotReadyReason() const {
  if (is_out_) return "out of the group: the service cannot do the work of an owner";
  if (std::string trouble = commits_.Trouble(); !trouble.empty()) return trouble;
  if (owned() == 0 && clock_.Now() - idle_since_ < kSettled) return "no shard is assigned yet";
  for (const auto& [number, shard] : shards_)
    if (shard->is_cursor_lost) return "the cursor of shard " + std::to_string(number) + " is lost";
  if (live() < owned())
    return "recovering " + std::to_string(owned() - live()) + " of " + std::to_string(owned()) + " shards";
  return {};
}

void ShardOwner::PublishShards() {
  if (shards_.empty()) idle_since_ = clock_.Now();
  metrics_.owned.Set(static_cast<double>(shards_.size()));
  publish_(epochs());
}

// ---- assignment ---------------------------------------------------------------

void ShardOwner::OnAssigned(std::int32_t partition) {
  // An earlier freeze concerns what was ours then.
  NoteTime();
  const auto number = static_cast<std::uint32_t>(partition);
  if (number >= log_.topology().partitions(options_.topic)) {
    telemetry::LogError("shard.unknown", {{"shard", number}});
    return;
  }
  Begin(number, std::nullopt);
}

void ShardOwner::Begin(std::uint32_t number, std::optional<FormerLife> former) {
  const std::shared_ptr<Shard> shard = service_->MakeShard(number, options_.duplicate_horizon);
  shard->tasks = tasks_->MakePart(
      [this, of = std::weak_ptr<Shard>(shard)](const char* task, const std::exception& failure) {
        if (const std::shared_ptr<Shard> failed = of.lock()) NoteTaskFailed(*failed, task, failure);
      });
  shards_[number] = shard;
  if (former) {
    shard->failures = std::move(former->failures);
    shard->failed_steps = std::move(former->failed_steps);
    shard->failed_steps.BeginLife(clock_.Now());
    shard->expected = former->newest_read;
    shard->former_end = former->end;
    shard->is_cut_log = former->was_cut;
    // Records that are read before it is acquired would be thrown away.
    shard->paused = true;
    consumer_->Pause(P(number));
  }
  shard->SpawnVital("shard.acquire", Acquire(shard, former));
}

void ShardOwner::BeginAnew(const std::shared_ptr<Shard>& shard, bool was_cut) {
  const bool is_read = shard->phase != Shard::Phase::kAcquiring;
  FormerLife former;
  former.cursor = is_read ? shard->window.cursor() : -1;
  former.epoch = std::max(shard->epoch, shard->stored_epoch);
  former.was_cut = was_cut || shard->is_cut_log;
  former.end = std::max({shard->former_end, shard->fence_offset + 1, is_read ? shard->next_read : 0});
  former.newest_read = shard->expected ? shard->expected : shard->newest_read;
  former.failures = std::move(shard->failures);
  former.failed_steps = std::move(shard->failed_steps);
  Drop(shard);
  Begin(shard->number, std::move(former));
}

Task<bool> ShardOwner::HasLost(std::uint32_t number, std::int64_t end) {
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    const auto marks = co_await consumer_->Watermarks(P(number));
    if (marks.ok()) co_return marks->second < end;
    telemetry::LogWarn("shard.offsets_failed", {{"shard", number}, {"error", Message(marks.status())}});
  }
}

Task<bool> ShardOwner::AwaitCertainty(std::shared_ptr<Shard> shard, std::int64_t cursor) {
  bool had_cursor = true;
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    if (cursor < 0) {
      // The cursor that is committed is committed once more.
      const absl::StatusOr<LogRange> range = co_await ranges_.Find(*service_, shard->number);
      if (!range.ok()) {
        NoteNoOffsets(*shard, range.status());
        continue;
      }
      had_cursor = range->committed >= 0;
      cursor = range->committed >= 0 ? range->committed : range->first;
    }
    std::vector<kafka::Consumer::Position> position{{P(shard->number), cursor}};
    const absl::Status committed = co_await consumer_->Commit(std::move(position));
    if (committed.ok()) co_return had_cursor;
  }
}

void ShardOwner::NoteNoOffsets(Shard& shard, const absl::Status& why) {
  shard.is_cursor_lost = absl::IsDataLoss(why);
  if (shard.is_cursor_lost) {
    telemetry::LogError("shard.cursor_lost", {{"shard", shard.number}, {"error", Message(why)}});
  } else {
    telemetry::LogWarn("shard.offsets_failed", {{"shard", shard.number}, {"error", Message(why)}});
  }
}

Task<void> ShardOwner::AppendFence(std::shared_ptr<Shard> shard, std::int64_t least_epoch, bool was_cut) {
  events::v1::Fence fence;
  fence.set_shard(shard->number);
  fence.set_instance(options_.instance);
  if (least_epoch >= 0) fence.set_epoch(least_epoch);
  fence.set_log_was_cut(was_cut);
  const std::unique_ptr<google::protobuf::MessageLite> record = service_->MakeFence(fence);
  const auto refused = [number = shard->number](const absl::Status& why) {
    telemetry::LogError("shard.fence_failed", {{"shard", number}, {"error", Message(why)}});
  };
  const std::int64_t offset = co_await AppendUntilTaken(
      shard, {options_.topic, shard->number, {}}, [&record] { return record.get(); }, refused);
  shard->fence_offset = offset;
  shard->epoch = std::max(offset, least_epoch);
  if (was_cut) shard->log_since = shard->epoch;
}

Task<std::int64_t> ShardOwner::AppendUntilTaken(std::shared_ptr<Shard> from, Place place, MakeRecord make,
                                                OnRefused on_refused) {
  for (runtime::Backoff backoff(kSayAgain);; co_await backoff.Wait()) {
    const google::protobuf::MessageLite* const record = make();
    if (record == nullptr) co_return -1;
    runtime::Promise<absl::StatusOr<std::int64_t>> appended(executor_);
    Append(*from, place.topic, place.partition, place.key, *record,
           [appended](Shard&, const absl::StatusOr<std::int64_t>& offset) mutable { appended.Set(offset); });
    const absl::StatusOr<std::int64_t> offset = co_await appended.Get();
    if (offset.ok()) co_return *offset;
    if (on_refused) on_refused(offset.status());
  }
}

Task<void> ShardOwner::Acquire(std::shared_ptr<Shard> shard, std::optional<FormerLife> former) {
  if (const int lives = std::min(shard->failed_steps.most_lives(), kMostFailedLives); lives > 0) {
    BackoffDelays delays(kSayAgain);
    std::chrono::milliseconds delay{0};
    for (int i = 0; i < lives; ++i) delay = delays.Next();
    co_await runtime::Sleep(delay);
  }
  const SteadyTime began = clock_.Now();
  const std::uint64_t doubts = doubts_;
  // 0. Where it was ours a moment ago and may not be now, the group is asked: who is no member is
  // told so, and OnLost follows.
  bool had_cursor = true;
  if (former) {
    if (!shard->is_cut_log) shard->is_cut_log = co_await HasLost(shard->number, shard->former_end);
    // A cursor of the log as it was would take the records of the new one for finished.
    had_cursor = co_await AwaitCertainty(shard, shard->is_cut_log ? -1 : former->cursor);
  }
  // 1. Where the log and the last owner stand, and how far back repetitions can lie: counted from
  // now, since they may come from now on, however long the rest takes.
  LogRange range;
  LookBack found_back;
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    const absl::Status found = co_await ranges_.Find(*service_, shard->number, range, found_back);
    if (found.ok()) break;
    NoteNoOffsets(*shard, found);
  }
  shard->is_cursor_lost = false;
  std::int64_t look_back = found_back.offset;
  // Whatever the clocks say, it is the horizon at least.
  const std::chrono::milliseconds age(clock_.UnixMillisNow() - found_back.since_ms);
  shard->read_since = clock_.Now() - std::max(age, options_.duplicate_horizon);
  std::int64_t published = -1;
  if (published_epoch_) published = co_await published_epoch_(shard->number);
  published = std::max(published, range.kept_epoch);
  if (former) published = std::max(published, former->epoch);
  shard->former_epoch = published;
  const LogVerdict verdict =
      Judge(range, {shard->is_cut_log, shard->former_end, had_cursor, /*newest_epoch=*/published});
  const bool was_cut = verdict.was_cut;
  if (!was_cut && range.committed >= 0 && range.committed < range.first)
    NoteExpired(shard->number, range.committed, range.first);
  if (was_cut) {
    // All that is known of offsets is of another log.
    shard->is_cut_log = true;
    shard->former_end = 0;
    shard->expected.reset();
    shard->failures.clear();
    metrics_.log_cuts.Increment();
    telemetry::LogError("shard.log_was_cut", {{"shard", shard->number},
                                              {"committed", range.committed},
                                              {"last_epoch", published},
                                              {"end", range.end}});
  }
  // The first owner of a shard commits its cursor before its fence: a shard that has had an owner, and has no
  // cursor, has lost it (KeptCursors).
  if (range.committed < 0 && range.is_kept && !was_cut) {
    co_await AwaitCertainty(shard, range.first);
    range.committed = range.first;
  }

  // 2. The fence. What an older owner decides after it is refused. A process that has stood still since the
  // shard was given to it asks first: the fence would end the work of whoever has it now.
  NoteTime();
  for (std::uint64_t certain = doubts; certain != doubts_;) {
    certain = doubts_;
    co_await AwaitCertainty(shard, /*cursor=*/-1);
    NoteTime();
  }
  co_await AppendFence(shard, verdict.least_epoch, was_cut);
  service_->OnFenced(*shard);
  PublishShards();

  // 3. The cursor that the group has is of the log as it was, too.
  if (was_cut) co_await AwaitCertainty(shard, look_back);
  shard->is_cut_log = false;

  // 4. What the service must know.
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    const absl::Status loaded = co_await service_->Load(shard);
    if (loaded.ok()) break;
    if (absl::IsFailedPrecondition(loaded)) co_return Doubt(shard);
    telemetry::LogWarn("shard.load_failed", {{"shard", shard->number}, {"error", Message(loaded)}});
  }
  look_back = std::min(look_back, shard->fence_offset);

  // 5. From the cursor on. Nothing was ever committed: everything that the log still has is ours.
  if (was_cut) {
    shard->committed = shard->last_commit = look_back;
  } else {
    shard->committed = std::max(range.committed, range.first);
    shard->last_commit = range.committed;
  }
  kept_cursors_.KeepIfDue(*service_, *shard);
  shard->window.Start(shard->committed);
  shard->phase = Shard::Phase::kRecovering;
  service_->OnReading(*shard, was_cut);
  UpdatePause(*shard);
  shard->next_read = std::min(look_back, shard->committed);
  if (shard->expected && shard->expected->offset >= range.first)
    shard->next_read = std::min(shard->next_read, shard->expected->offset);
  consumer_->Seek(P(shard->number), shard->next_read);
  metrics_.acquired.Increment();
  metrics_.acquire_seconds.Observe(std::chrono::duration<double>(clock_.Now() - began).count());
  telemetry::LogInfo("shard.acquired", {{"shard", shard->number},
                                        {"epoch", shard->epoch},
                                        {"committed", shard->committed},
                                        {"records", shard->fence_offset - shard->committed}});
}

void ShardOwner::OnRecord(const kafka::Record& read) {
  NoteTime();
  try {
    Read(read);
  } catch (const std::exception& failure) {
    if (Shard* const shard = Find(static_cast<std::uint32_t>(read.partition)))
      NoteFailed(*shard, read.offset, failure);
  }
}

void ShardOwner::NoteFailed(Shard& shard, std::int64_t offset, const std::exception& failure) {
  telemetry::LogError("record.failed", {{"shard", shard.number},
                                        {"offset", offset},
                                        {"error", failure.what()},
                                        {"consequence", ConsequenceOf(failure)}});
  EndWithoutMemory(failure);
  metrics_.failed_records.Increment();
  ++shard.failures[offset];
  GiveUpFailed(shard);
}

void ShardOwner::NoteStepFailed(Shard& shard, std::string_view step, const std::exception& failure) {
  telemetry::LogError("shard.failed", {{"shard", shard.number},
                                       {"step", step},
                                       {"error", failure.what()},
                                       {"consequence", ConsequenceOf(failure)}});
  EndWithoutMemory(failure);
  metrics_.failed_steps.Increment();
  shard.failed_steps.Note(step, clock_.Now());
  GiveUpFailed(shard);
}

void ShardOwner::NoteActionFailed(std::string_view action, const std::exception& failure,
                                  std::string_view consequence) {
  telemetry::LogError("action.failed", {{"action", action},
                                        {"error", failure.what()},
                                        {"consequence", LacksMemory(failure) ? kProcessEnds : consequence}});
  EndWithoutMemory(failure);
  metrics_.failed_steps.Increment();
}

void ShardOwner::NoteTaskFailed(Shard& shard, const char* task, const std::exception& failure) {
  // Before it is live, something may wait for what failed.
  const bool is_live = shard.phase == Shard::Phase::kLive && !shard.settling;
  if (!is_live || shard.vital_tasks.contains(task) || LacksMemory(failure))
    return NoteStepFailed(shard, task, failure);
  metrics_.failed_steps.Increment();
  const bool is_given_up = shard.failed_steps.Note(task, clock_.Now()) > kMostFailedLives;
  telemetry::LogError("shard.failed",
                      {{"shard", shard.number},
                       {"step", task},
                       {"error", failure.what()},
                       // It fails in every life. The others in the shard need not stand still for that.
                       {"consequence", is_given_up ? "what it was to do is left undone" : kAcquiredAfresh}});
  if (!is_given_up) GiveUpFailed(shard);
}

void ShardOwner::GiveUpFailed(Shard& shard) {
  if (shard.released()) return;
  shard.has_failed = true;
  shard.suspended = true;
  UpdatePause(shard);
  tasks_->Spawn("shard.failed", ForgetFailed(shard.shared_from_this()));
}

Task<void> ShardOwner::ForgetFailed(std::shared_ptr<Shard> shard) {
  co_await runtime::Yield();
  if (shard->released() || shard->leaving) co_return;
  BeginAnew(shard, /*was_cut=*/false);
}

void ShardOwner::Read(const kafka::Record& read) {
  Shard* const shard = Find(static_cast<std::uint32_t>(read.partition));
  if (shard == nullptr || shard->phase == Shard::Phase::kAcquiring) return;
  const std::int64_t offset = read.offset;
  if (shard->suspended || shard->settling) {
    // Whether it is ours to apply is not known, or its turn has not come. It is read again then.
    if (shard->unread < 0) shard->unread = offset;
    return;
  }
  if (offset < shard->next_read) {
    BeginAnew(Shared(shard->number), /*was_cut=*/true);
    return;
  }
  const std::size_t hash = absl::HashOf(read.value);
  if (shard->expected && offset >= shard->expected->offset) {
    const Shard::RecordMark expected = *std::exchange(shard->expected, std::nullopt);
    if (offset == expected.offset && hash != expected.hash) {
      // The log was cut and has grown beyond it since.
      BeginAnew(Shared(shard->number), /*was_cut=*/true);
      return;
    }
  }
  shard->newest_read = {offset, hash};
  shard->next_read = offset + 1;
  const bool is_finished = offset < shard->committed;
  const auto failed = shard->failures.find(offset);
  const int failures = failed == shard->failures.end() ? 0 : failed->second;
  ShardService::Parsed parsed;
  // Once more than it is tried, so that somebody may be told.
  if (failures <= kTries) parsed = service_->Parse(read.value);
  if (shard->phase == Shard::Phase::kRecovering && offset >= shard->fence_offset &&
      !IsFence(*shard, offset, parsed)) {
    // The log had lost it before it was read, and has grown beyond it since.
    BeginAnew(Shared(shard->number), /*was_cut=*/true);
    return;
  }
  if (!is_finished) shard->window.Add(offset, read.value.size());
  if (parsed.record == nullptr) {
    metrics_.unreadable.Increment();
    telemetry::LogError("record.unreadable", {{"shard", shard->number}, {"offset", offset}});
    if (!is_finished) shard->window.Release(offset);
    return;
  }
  parsed.record->offset = offset;
  parsed.record->timestamp_ms = read.timestamp_ms;
  parsed.record->recovering = shard->IsBeforeFence(offset);
  if (parsed.fence != nullptr) {
    if (parsed.fence->shard() == shard->number && offset > shard->fence_offset) {
      Supersede(Shared(shard->number), *parsed.fence);
      return;
    }
    if (parsed.fence->shard() == shard->number) {
      const std::int64_t epoch = std::max(offset, parsed.fence->epoch());
      shard->duplicates.SawFence(events::ToProto(options_.topic), shard->number, epoch, read.timestamp_ms);
      shard->read_epoch = std::max(shard->read_epoch, epoch);
      if (offset < shard->fence_offset) shard->former_epoch = std::max(shard->former_epoch, epoch);
      if (parsed.fence->log_was_cut()) shard->log_since = std::max(shard->log_since, epoch);
    }
    if (!is_finished) shard->window.Release(offset);
    if (offset == shard->fence_offset && shard->phase == Shard::Phase::kRecovering) OnFenceRead(*shard);
    return;
  }
  DuplicateFilter::Verdict verdict = DuplicateFilter::Verdict::kApply;
  if (parsed.origin != nullptr) verdict = shard->duplicates.Check(*parsed.origin, read.timestamp_ms);
  if (is_finished) {
    if (verdict == DuplicateFilter::Verdict::kApply) service_->OnFinishedRecord(*shard, *parsed.record);
    return;
  }
  if (verdict != DuplicateFilter::Verdict::kApply) {
    (verdict == DuplicateFilter::Verdict::kDuplicate ? metrics_.duplicates_refused
                                                     : metrics_.stale_epochs_refused)
        .Increment();
    service_->OnNotApplied(*shard, *parsed.record);
    shard->window.Release(offset);
    return;
  }
  if (failures >= kTries) {
    metrics_.given_up_records.Increment();
    telemetry::LogError("record.given_up", {{"shard", shard->number}, {"offset", offset}});
    // Something may decide the same again in every life, in a record of its own each time. The pauses stay
    // short: nobody should be able to stop others for long by what fails here.
    shard->failed_steps.Note("record", clock_.Now(), kMostLivesOfRecords);
    service_->OnGivenUp(*shard, *parsed.record);
    shard->window.Release(offset);
    return;
  }
  metrics_.applied.Increment();
  service_->Apply(*shard, std::move(parsed.record));
  UpdatePause(*shard);
}

bool ShardOwner::IsFence(const Shard& shard, std::int64_t offset, const ShardService::Parsed& parsed) const {
  if (parsed.fence == nullptr || parsed.fence->shard() != shard.number) return false;
  return offset > shard.fence_offset || parsed.fence->instance() == options_.instance;
}

void ShardOwner::OnOffsetMissing(std::int32_t partition, std::int64_t wanted, std::int64_t first,
                                 std::int64_t end) {
  NoteTime();
  const std::shared_ptr<Shard> shard = Shared(static_cast<std::uint32_t>(partition));
  if (!shard || shard->phase == Shard::Phase::kAcquiring) return;
  if (wanted > end) {
    BeginAnew(shard, /*was_cut=*/true);
  } else if (wanted < first) {
    NoteExpired(shard->number, std::max(wanted, shard->committed), first);
    if (first > shard->fence_offset && shard->phase == Shard::Phase::kRecovering)
      BeginAnew(shard, /*was_cut=*/false);
  }
}

void ShardOwner::NoteExpired(std::uint32_t number, std::int64_t wanted, std::int64_t first) {
  if (wanted >= first) return;
  metrics_.expired.Increment(static_cast<double>(first - wanted));
  telemetry::LogError("shard.records_expired", {{"shard", number}, {"cursor", wanted}, {"first", first}});
}

void ShardOwner::Supersede(const std::shared_ptr<Shard>& shard, const events::v1::Fence& fence) {
  // Everything that its owner applies lies behind its fence, and so does whatever we would apply from here
  // on.
  metrics_.superseded.Increment();
  telemetry::LogWarn("shard.superseded",
                     {{"shard", shard->number}, {"epoch", shard->epoch}, {"by", fence.instance()}});
  BeginAnew(shard, /*was_cut=*/false);
}

void ShardOwner::Doubt(std::shared_ptr<Shard> shard) {
  tasks_->Spawn("shard.doubt", ForgetDoubted(std::move(shard)));
}

Task<void> ShardOwner::ForgetDoubted(std::shared_ptr<Shard> shard) {
  // Whoever has called may be at work on the shard.
  co_await runtime::Yield();
  // One that is being given back has nothing more to ask.
  if (shard->released() || shard->leaving) co_return;
  metrics_.superseded.Increment();
  telemetry::LogWarn(
      "shard.superseded",
      {{"shard", shard->number}, {"epoch", shard->epoch}, {"stored_epoch", shard->stored_epoch}});
  BeginAnew(shard, /*was_cut=*/false);
}

void ShardOwner::OnFenceRead(Shard& shard) {
  if (service_->is_settled(shard)) return GoLive(shard);
  shard.settling = true;
  UpdatePause(shard);
  shard.SpawnVital("shard.settle", Settle(Shared(shard.number)));
}

Task<void> ShardOwner::Settle(std::shared_ptr<Shard> shard) {
  co_await service_->Settle(shard);
  // Frozen meanwhile, it has to be certain that it is still ours.
  if (shard->settling && !shard->suspended) EndSettling(*shard);
}

void ShardOwner::EndSettling(Shard& shard) {
  shard.settling = false;
  GoLive(shard);
  if (shard.released() || shard.suspended) return;
  if (shard.unread >= 0) consumer_->Seek(P(shard.number), std::exchange(shard.unread, -1));
  UpdatePause(shard);
}

void ShardOwner::GoLive(Shard& shard) {
  shard.phase = Shard::Phase::kLive;
  telemetry::LogInfo("shard.live", {{"shard", shard.number}, {"epoch", shard.epoch}});
  try {
    service_->GoLive(shard);
  } catch (const std::exception& failure) {
    NoteStepFailed(shard, "go live", failure);
  }
}

// ---- back-pressure ------------------------------------------------------------

void ShardOwner::UpdatePause(Shard& shard) {
  if (shard.phase == Shard::Phase::kAcquiring) return;
  if (!is_congested_ && log_.is_congested()) {
    is_congested_ = true;
    tasks_->Spawn("shards.await_calm", AwaitCalm());
    for (const auto& [number, other] : shards_)
      if (other.get() != &shard) UpdatePause(*other);
  }
  // A paused shard is read again once it is below half of the bound.
  const std::int64_t divisor = shard.paused ? 2 : 1;
  // Most of what a new owner says up to its fence has been said before: that its shard goes live comes first.
  const bool says_too_much =
      shard.phase == Shard::Phase::kLive &&
      static_cast<std::int64_t>(shard.follow_ups.count()) > options_.max_follow_ups / divisor;
  // About as much is unfinished again as the last owner had; nobody is served before our fence.
  const std::int64_t factor = shard.phase == Shard::Phase::kRecovering ? 4 : 1;
  const bool is_full =
      static_cast<std::int64_t>(shard.window.size()) > factor * options_.max_unfinished_records / divisor ||
      static_cast<std::int64_t>(shard.window.bytes() + shard.refused_bytes) >
          factor * options_.max_unfinished_bytes / divisor ||
      says_too_much || service_->is_full(shard);
  const bool pause = is_full || is_congested_ || shard.suspended || shard.settling;
  if (pause == shard.paused) return;
  shard.paused = pause;
  if (!pause) {
    consumer_->Resume(P(shard.number));
    return;
  }
  consumer_->Pause(P(shard.number));
  if (!shard.suspended && !shard.settling) metrics_.paused.Increment();
  if (is_full)
    telemetry::LogWarn("shard.paused", {{"shard", shard.number},
                                        {"unfinished", shard.window.size()},
                                        {"bytes", shard.window.bytes()},
                                        {"refused_bytes", shard.refused_bytes},
                                        {"follow_ups", shard.follow_ups.count()},
                                        {"cursor", shard.window.cursor()}});
}

Task<void> ShardOwner::AwaitCalm() {
  while (log_.is_congested()) co_await runtime::Sleep(kCalm);
  is_congested_ = false;
  for (const auto& [number, shard] : shards_) UpdatePause(*shard);
}

// ---- what follows from a shard --------------------------------------------------

void ShardOwner::FillOrigin(const Shard& from, events::v1::Origin& origin) const {
  origin.set_topic(events::ToProto(options_.topic));
  origin.set_shard(from.number);
  origin.set_epoch(from.epoch);
  origin.set_cursor(std::max<std::int64_t>(from.last_commit, 0));
  if (from.log_since > 0) origin.set_log_since(from.log_since);
}

void ShardOwner::FillOrigin(Shard& from, std::int64_t offset, std::uint32_t part,
                            events::v1::Origin& origin) const {
  FillOrigin(from, origin);
  origin.mutable_log()->set_offset(offset);
  origin.mutable_log()->set_part(part);
  from.follow_ups.Note(offset);
}

void ShardOwner::NoteMisplaced(const Shard& shard, std::int64_t offset) const {
  metrics_.misplaced.Increment();
  telemetry::LogError("record.misplaced", {{"shard", shard.number}, {"offset", offset}});
}

void ShardOwner::NoteAppended(Shard& from) {
  if (--from.appends_in_flight == 0 && from.on_appended_all) std::exchange(from.on_appended_all, nullptr)();
}

// ---- hand-over ----------------------------------------------------------------

void ShardOwner::OnRevoking(std::int32_t partition) {
  const auto number = static_cast<std::uint32_t>(partition);
  const std::shared_ptr<Shard> shard = Shared(number);
  if (!shard) {
    consumer_->ReleaseDone(partition);
    return;
  }
  shard->leaving = true;
  shard->Spawn("shard.hand_over", HandOver(shard));
}

Task<absl::Status> ShardOwner::AwaitAllRead(std::shared_ptr<Shard> shard, Deadline limit) {
  const auto marks = co_await consumer_->Watermarks(P(shard->number));
  if (!marks.ok()) co_return marks.status();
  while (!shard->released() && shard->next_read < marks->second) {
    if (limit.IsExpired()) co_return absl::DeadlineExceededError("the log is not read that far yet");
    co_await runtime::Sleep(kCalm);
  }
  co_return absl::OkStatus();
}

Task<void> ShardOwner::AwaitAppends(std::shared_ptr<Shard> shard) {
  if (shard->appends_in_flight == 0) co_return;
  const auto appended = std::make_shared<runtime::Event>(executor_);
  shard->on_appended_all = [appended] { appended->Set(); };
  (void)co_await appended->Wait(Deadline::After(kAppendsOut));
}

Task<void> ShardOwner::HandOver(std::shared_ptr<Shard> shard) {
  const SteadyTime limit = clock_.Now() + kHandOver;
  // Whatever the service throws, the next owner is not kept waiting: it says again what is left undone here.
  try {
    if (shard->live()) co_await service_->HandOver(shard, limit);
  } catch (const std::exception& failure) {
    if (IsCancelled(failure)) throw;
    NoteLeavingFailed(*shard, "hand over", failure);
  }
  if (shard->phase != Shard::Phase::kAcquiring) {
    // All that follows from the records before the cursor is in the log, or the cursor does not pass them:
    // the next owner repeats as little as possible.
    co_await AwaitAppends(shard);
    const std::int64_t cursor = shard->window.cursor();
    std::vector<kafka::Consumer::Position> last{{P(shard->number), cursor}};
    const absl::Status committed = co_await consumer_->Commit(std::move(last));
    if (committed.ok()) {
      commits_.NoteCommitted(*shard, cursor);
      try {
        service_->OnCommitted(*shard);
      } catch (const std::exception& failure) {
        NoteLeavingFailed(*shard, "committed", failure);
      }
    } else if (!absl::IsAborted(committed)) {  // in a rebalance the last one must do
      telemetry::LogWarn("shard.commit_failed", {{"shard", shard->number}, {"error", Message(committed)}});
    }
    co_await kept_cursors_.Keep(*service_, *tasks_, shard, limit + kAppendsOut);
  }
  telemetry::LogInfo("shard.handed_over", {{"shard", shard->number}, {"cursor", shard->window.cursor()}});
  Drop(shard);
  consumer_->ReleaseDone(P(shard->number));
}

void ShardOwner::NoteLeavingFailed(const Shard& shard, std::string_view step, const std::exception& failure) {
  telemetry::LogError("shard.failed", {{"shard", shard.number},
                                       {"step", step},
                                       {"error", failure.what()},
                                       {"consequence", "it is released all the same"}});
  EndWithoutMemory(failure);
  metrics_.failed_steps.Increment();
}

void ShardOwner::Drop(const std::shared_ptr<Shard>& shard) {
  try {
    service_->Forget(*shard);
  } catch (const std::exception& failure) {
    // Half of it is forgotten: something may hold what the rest is about to lose.
    telemetry::LogError("shard.failed", {{"shard", shard->number},
                                         {"step", "forget"},
                                         {"error", failure.what()},
                                         {"consequence", kProcessEnds}});
    EndProcess();
  }
  shard->phase = Shard::Phase::kReleased;
  if (shard->appends_in_flight > 0) tasks_->Spawn("shard.last_words", AwaitLastWords(shard));
  // One of them may be who calls.
  shard->tasks->Cancel();
  const auto found = shards_.find(shard->number);
  if (found != shards_.end() && found->second == shard) shards_.erase(found);
  PublishShards();
}

Task<void> ShardOwner::AwaitLastWords(std::shared_ptr<Shard> former) {
  // A record that comes in this time does no harm: its reader has the successor's word for the same, or takes
  // it in place of that. Later one might have come that does not know any more that there is a successor. The
  // producer drops all or nothing, so the shards that stay are given up with what they have under way, and
  // acquired afresh: the memory for it ends with it, too.
  const auto appended = std::make_shared<runtime::Event>(executor_);
  former->on_appended_all = [appended] { appended->Set(); };
  const bool are_all = co_await appended->Wait(Deadline::After(options_.duplicate_horizon / kLastWords));
  if (are_all || is_leaving_) co_return;
  if (shards_.empty()) {
    log_.DropInFlight();
  } else {
    Surrender("the log does not take what a shard that went had to say");
  }
}

void ShardOwner::OnLost(std::int32_t partition) {
  const std::shared_ptr<Shard> shard = Shared(static_cast<std::uint32_t>(partition));
  if (!shard) return;
  metrics_.lost.Increment();
  telemetry::LogWarn("shard.lost", {{"shard", shard->number}, {"epoch", shard->epoch}});
  Drop(shard);
  // Others speak for all that was ours: what we still had to say comes from them, in its order.
  if (shards_.empty() && !is_leaving_) log_.DropInFlight();
}

void ShardOwner::OnLogBroken() {
  // A record that is given up is said again by whoever reads the records that it follows from.
  if (shards_.empty() || is_leaving_) {
    log_.DropInFlight();
  } else {
    Surrender("the log does not say what it has of what was under way");
  }
}

void ShardOwner::Surrender(std::string_view why) {
  metrics_.surrenders.Increment();
  telemetry::LogError("shards.given_up", {{"reason", why}, {"shards", shards_.size()}});
  log_.DropInFlight();
  // The group may not have noticed: where it has stood still itself, it takes us for a member still, and
  // gives the shards to nobody else.
  for (const auto& [number, shard] : std::map(shards_)) {
    metrics_.lost.Increment();
    if (shard->leaving) {
      // The next owner says again what is dropped here.
      Drop(shard);
      consumer_->ReleaseDone(P(number));
    } else {
      BeginAnew(shard, /*was_cut=*/false);
    }
  }
}

// ---- time ---------------------------------------------------------------------

void ShardOwner::NoteTime() {
  const SteadyTime now = clock_.Now();
  const std::chrono::milliseconds wall(clock_.UnixMillisNow());
  // While the machine was suspended, or a virtual one was paused, the steady clock stood still.
  const auto away = last_seen_ == SteadyTime::min()
                        ? SteadyTime::duration::zero()
                        : std::max<SteadyTime::duration>(now - last_seen_, wall - last_seen_wall_);
  last_seen_ = now;
  last_seen_wall_ = wall;
  if (away <= kFreeze) return;
  metrics_.freezes.Increment();
  const auto away_ms = std::chrono::duration_cast<std::chrono::milliseconds>(away).count();
  telemetry::LogWarn("process.froze", {{"ms", away_ms}});
  if (shards_.empty()) return;
  if (away > options_.duplicate_horizon / 2) {
    Surrender("the process stood still for too long");
    return;
  }
  for (const auto& [number, shard] : shards_) {
    shard->suspended = true;
    UpdatePause(*shard);
  }
  ++doubts_;
  if (std::exchange(is_checking_, true)) return;
  tasks_->Spawn("shard.check_ownership", CheckOwnership());
}

Task<void> ShardOwner::CheckOwnership() {
  // The group refuses a commit of a process that is no member any more; then OnLost follows.
  std::uint64_t asked_in = 0;
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    asked_in = doubts_;
    std::vector<kafka::Consumer::Position> cursors;
    for (const auto& [number, shard] : shards_)
      if (shard->suspended && shard->phase != Shard::Phase::kAcquiring)
        cursors.push_back({P(number), shard->window.cursor()});
    if (cursors.empty()) break;
    const absl::Status committed = co_await consumer_->Commit(std::move(cursors));
    // An answer from before another freeze says nothing of now.
    if (committed.ok() && asked_in == doubts_) break;
  }
  is_checking_ = false;
  std::vector<std::shared_ptr<Shard>> certain;
  for (const auto& [number, shard] : shards_) {
    if (!shard->suspended || shard->has_failed) continue;
    shard->suspended = false;
    certain.push_back(shard);
  }
  for (const auto& shard : certain) {
    if (shard->released() || shard->has_failed) continue;
    try {
      service_->OnCertain(*shard);
    } catch (const std::exception& failure) {
      NoteStepFailed(*shard, "certain", failure);
    }
    if (shard->released() || shard->suspended) continue;
    if (shard->settling) {
      if (service_->is_settled(*shard)) {
        EndSettling(*shard);
      } else {
        shard->SpawnVital("shard.settle", Settle(shard));
      }
      continue;
    }
    if (shard->unread >= 0) consumer_->Seek(P(shard->number), std::exchange(shard->unread, -1));
    UpdatePause(*shard);
  }
}

void ShardOwner::CommitCursors() {
  if (service_ != nullptr && !is_out_) commits_.Begin(*service_, *tasks_);
}

void ShardOwner::Tick() {
  NoteTime();
  for (const auto& [number, shard] : shards_)
    if (shard->paused) UpdatePause(*shard);
  if (make_consumer_ == nullptr || is_leaving_) return;
  if (is_out_) {
    if (service_->is_able()) able_again_.Notify();
  } else if (service_->is_able()) {
    unable_since_ = SteadyTime::max();
  } else if (unable_since_ == SteadyTime::max()) {
    unable_since_ = clock_.Now();
  } else if (clock_.Now() - unable_since_ > kUnable) {
    is_out_ = true;
    tasks_->Spawn("shards.stay_out", StayOut());
  }
}

}  // namespace rookery::sharding
