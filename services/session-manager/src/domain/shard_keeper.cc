#include "domain/shard_keeper.h"

#include <algorithm>

#include "domain/deliverer.h"
#include "domain/offline_messages.h"
#include "domain/record_processor.h"
#include "domain/session_closer.h"
#include "domain/session_keeper.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// Standing still for longer than this may have cost us our shards (the group's session
/// time-out is 6 s), so ownership is checked before anything else is done.
constexpr std::chrono::seconds kFreeze{3};
constexpr std::chrono::milliseconds kRetry{250};
/// The next owner waits no longer for what has to reach the store.
constexpr std::chrono::seconds kHandOverLimit{2};

}  // namespace

// ---- assignment -------------------------------------------------------------

void ShardKeeper::OnAssigned(std::uint32_t number) {
  auto& shards = core_.all_shards();
  if (number >= shards.size()) {
    telemetry::LogError("shard.unknown", {{"shard", number}});
    return;
  }
  auto shard = std::make_shared<Shard>();
  shard->number = number;
  shards[number] = shard;
  core_.tasks().Spawn("shard.acquire", Acquire(shard));
}

Task<void> ShardKeeper::Acquire(std::shared_ptr<Shard> shard) {
  const SteadyTime began = core_.clock().Now();
  const Ports& ports = core_.ports();
  // 1. The fence: its offset is our epoch. What an older owner appends after it is refused.
  events::v1::UserRecord fence;
  fence.mutable_origin()->set_shard(shard->number);
  fence.mutable_fence()->set_shard(shard->number);
  fence.mutable_fence()->set_instance(core_.settings().instance);
  runtime::Promise<std::int64_t> fenced(core_.executor());
  ports.log.Append(Topic::kUsers, shard->number, {}, fence,
                   [fenced](std::int64_t offset) mutable { fenced.Set(offset); });
  const std::int64_t epoch = co_await fenced.Get();
  if (shard->released()) co_return;
  shard->epoch = epoch;
  fence.mutable_fence()->set_epoch(epoch);
  for (std::uint32_t other = 0; other < core_.shard_count(); ++other)
    if (other != shard->number) ports.log.Append(Topic::kUsers, other, {}, fence, {});

  // 2. Gateways learn of us and attach their sessions meanwhile.
  Announce(*shard);
  PublishShards();

  // 3. What waits in the store, and where to read from.
  WaitingStore::Shard waiting;
  while (!shard->released()) {
    auto loaded = co_await ports.waiting.LoadShard(shard->number);
    if (loaded.ok()) {
      waiting = *std::move(loaded);
      break;
    }
    telemetry::LogWarn("shard.load_failed", {{"shard", shard->number}, {"error", Message(loaded.status())}});
    co_await runtime::Sleep(kRetry);
  }
  if (shard->released()) co_return;
  co_await AwaitGateways(shard);
  if (shard->released()) co_return;
  for (WaitingStore::ParkedSession& parked : waiting.sessions)
    core_.sessions().Restore(*shard, std::move(parked));
  for (WaitingStore::Shard::Packet& packet : waiting.packets)
    core_.sessions().RestorePacket(*shard, std::move(packet));
  co_await core_.offline().Recover(shard);
  if (shard->released()) co_return;
  co_await core_.offline().LookForWaiting(shard);
  if (shard->released()) co_return;

  std::int64_t committed = -1;
  std::int64_t look_back = 0;
  while (!shard->released()) {
    auto found = co_await ports.shard_log.Committed(shard->number);
    if (found.ok()) {
      auto from = co_await ports.shard_log.OffsetForTime(
          shard->number, core_.clock().UnixMillisNow() - core_.settings().duplicate_horizon.count());
      auto beginning = co_await ports.shard_log.Beginning(shard->number);
      if (from.ok() && beginning.ok()) {
        // Nothing was ever committed: everything that the log still has is ours to apply.
        committed = std::max(*found, *beginning);
        shard->last_commit = *found;
        look_back = std::max(*from, *beginning);
        break;
      }
      found = from.ok() ? beginning.status() : from.status();
    }
    telemetry::LogWarn("shard.offsets_failed",
                       {{"shard", shard->number}, {"error", Message(found.status())}});
    co_await runtime::Sleep(kRetry);
  }
  if (shard->released()) co_return;
  shard->committed = committed;
  shard->window.Start(shard->committed);
  shard->phase = Shard::Phase::kRecovering;
  core_.offline().GiveWhatIsDue(*shard);
  ports.shard_log.Seek(shard->number, std::min(look_back, shard->committed));
  core_.metrics().shards_acquired.Increment();
  core_.metrics().acquire_seconds.Observe(std::chrono::duration<double>(core_.clock().Now() - began).count());
  telemetry::LogInfo("shard.acquired", {{"shard", shard->number},
                                        {"epoch", shard->epoch},
                                        {"committed", committed},
                                        {"parked_sessions", waiting.sessions.size()}});
}

void ShardKeeper::Announce(const Shard& shard) {
  for (const auto& [instance, gateway] : core_.sessions().gateways()) {
    auto& action = gateway->Add();
    action.set_shard(shard.number);
    action.set_epoch(shard.epoch);
    action.mutable_shard_owned()->set_shard(shard.number);
    action.mutable_shard_owned()->set_epoch(shard.epoch);
  }
}

bool ShardKeeper::AllGatewaysAttached(const Shard& shard) const {
  if (!core_.ports().membership.KnowsAllGateways()) return false;
  for (const auto& [instance, gateway] : core_.sessions().gateways())
    if (!shard.attached_gateways.contains(instance)) return false;
  // One that Redis knows and that has not linked yet may hold sessions too.
  const std::vector<std::string> known = core_.ports().membership.Gateways();
  return std::all_of(known.begin(), known.end(),
                     [&](const std::string& instance) { return shard.attached_gateways.contains(instance); });
}

Task<void> ShardKeeper::AwaitGateways(std::shared_ptr<Shard> shard) {
  const SteadyTime limit = core_.clock().Now() + core_.settings().attach_timeout;
  while (!shard->released() && core_.clock().Now() < limit) {
    if (AllGatewaysAttached(*shard)) co_return;
    co_await runtime::Sleep(std::chrono::milliseconds(10));
  }
  if (!shard->released()) telemetry::LogWarn("shard.gateways_missing", {{"shard", shard->number}});
}

void ShardKeeper::OnRecord(std::uint32_t number, std::int64_t offset, std::int64_t timestamp_ms,
                           std::string_view value) {
  NoteTime();
  Shard* shard = core_.FindShard(number);
  if (shard == nullptr || shard->released() || shard->phase == Shard::Phase::kAcquiring) return;
  core_.records().OnRecord(*shard, offset, timestamp_ms, value);
  if (!shard->paused &&
      static_cast<std::int64_t>(shard->window.size()) > core_.settings().max_window_records) {
    shard->paused = true;
    core_.ports().shard_log.Pause(number);
    telemetry::LogWarn("shard.paused", {{"shard", number}, {"records", shard->window.size()}});
  }
}

void ShardKeeper::OnOwnFence(Shard& shard, std::int64_t offset) {
  if (offset == shard.epoch && shard.phase == Shard::Phase::kRecovering) GoLive(shard);
}

void ShardKeeper::GoLive(Shard& shard) {
  shard.phase = Shard::Phase::kLive;
  telemetry::LogInfo("shard.live",
                     {{"shard", shard.number}, {"epoch", shard.epoch}, {"users", shard.users.size()}});
  core_.sessions().RunWaiting(shard);
}

// ---- hand-over --------------------------------------------------------------

void ShardKeeper::OnRevoking(std::uint32_t number) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(number);
  if (!shard) {
    core_.ports().shard_log.Released(number);
    return;
  }
  core_.tasks().Spawn("shard.hand_over", HandOver(shard));
}

Task<void> ShardKeeper::HandOver(std::shared_ptr<Shard> shard) {
  // Sessions whose clients are away go to the store while we still own them. What is
  // in the window stays in the log: the next owner reads it from the cursor.
  if (shard->live()) co_await core_.sessions().AwaitParked(shard, kHandOverLimit);
  if (shard->released()) co_return;
  if (shard->phase != Shard::Phase::kAcquiring) {
    const std::int64_t cursor = shard->window.cursor();
    std::vector<std::pair<std::uint32_t, std::int64_t>> cursors{{shard->number, cursor}};
    const absl::Status committed = co_await core_.ports().shard_log.Commit(std::move(cursors));
    if (shard->released()) co_return;
    if (committed.ok()) {
      shard->last_commit = std::max(shard->last_commit, cursor);
      core_.closer().OnCommitted(*shard);
    } else if (!absl::IsAborted(committed)) {  // in a rebalance the last one must do
      telemetry::LogWarn("shard.commit_failed", {{"shard", shard->number}, {"error", Message(committed)}});
    }
  }
  if (shard->released()) co_return;
  telemetry::LogInfo("shard.handed_over", {{"shard", shard->number}, {"cursor", shard->window.cursor()}});
  core_.sessions().Forget(*shard);
  shard->phase = Shard::Phase::kReleased;
  if (core_.all_shards()[shard->number] == shard) core_.all_shards()[shard->number] = nullptr;
  PublishShards();
  core_.ports().shard_log.Released(shard->number);
}

void ShardKeeper::OnLost(std::uint32_t number) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(number);
  if (!shard) return;
  core_.metrics().shards_lost.Increment();
  telemetry::LogWarn("shard.lost", {{"shard", number}, {"epoch", shard->epoch}});
  core_.sessions().Forget(*shard);
  shard->phase = Shard::Phase::kReleased;
  core_.all_shards()[number] = nullptr;
  PublishShards();
}

Task<void> ShardKeeper::FinishAll(std::chrono::milliseconds timeout) {
  const SteadyTime limit = core_.clock().Now() + timeout;
  while (owned() > 0 && core_.clock().Now() < limit) co_await runtime::Sleep(std::chrono::milliseconds(20));
}

void ShardKeeper::PublishShards() {
  std::vector<std::pair<std::uint32_t, std::int64_t>> epochs;
  for (const auto& shard : core_.all_shards())
    if (shard && shard->epoch >= 0) epochs.emplace_back(shard->number, shard->epoch);
  core_.ports().membership.PublishShards(epochs);
  core_.metrics().shards.Set(static_cast<double>(epochs.size()));
}

// ---- time -------------------------------------------------------------------

void ShardKeeper::NoteTime() {
  const SteadyTime now = core_.clock().Now();
  const bool froze = last_seen_ != SteadyTime::min() && now - last_seen_ > kFreeze;
  last_seen_ = now;
  if (!froze) return;
  core_.metrics().freezes.Increment();
  telemetry::LogWarn("process.froze", {});
  bool any = false;
  for (const auto& shard : core_.all_shards()) {
    if (!shard) continue;
    shard->suspended = true;
    any = true;
  }
  if (any) core_.tasks().Spawn("shard.check_ownership", CheckOwnership());
}

Task<void> ShardKeeper::CheckOwnership() {
  // The group refuses a commit of who is no member any more; then OnLost follows.
  while (true) {
    std::vector<std::pair<std::uint32_t, std::int64_t>> cursors;
    for (const auto& shard : core_.all_shards())
      if (shard && shard->suspended && shard->phase != Shard::Phase::kAcquiring)
        cursors.emplace_back(shard->number, shard->window.cursor());
    if (cursors.empty()) break;
    const absl::Status committed = co_await core_.ports().shard_log.Commit(cursors);
    if (committed.ok()) break;
    co_await runtime::Sleep(kRetry);
  }
  for (const auto& shard : core_.all_shards()) {
    if (!shard || !shard->suspended) continue;
    shard->suspended = false;
    if (shard->live()) core_.sessions().RunWaiting(*shard);
  }
}

void ShardKeeper::CommitCursors() {
  if (committing_) return;
  committing_ = true;
  core_.tasks().Spawn("shard.commit", Commit());
}

Task<void> ShardKeeper::Commit() {
  std::vector<std::pair<std::uint32_t, std::int64_t>> cursors;
  std::vector<std::uint32_t> committed_shards;
  for (const auto& shard : core_.all_shards()) {
    if (!shard || shard->suspended || shard->released() || shard->phase == Shard::Phase::kAcquiring) continue;
    if (shard->window.cursor() != shard->last_commit)
      cursors.emplace_back(shard->number, shard->window.cursor());
  }
  if (!cursors.empty()) {
    const absl::Status committed = co_await core_.ports().shard_log.Commit(cursors);
    if (committed.ok()) {
      for (const auto& [number, cursor] : cursors) {
        Shard* shard = core_.FindShard(number);
        if (shard == nullptr) continue;
        shard->last_commit = std::max(shard->last_commit, cursor);
        committed_shards.push_back(number);
      }
    } else if (!absl::IsAborted(committed)) {  // in a rebalance the next one will do
      telemetry::LogWarn("shard.commit_failed", {{"error", Message(committed)}});
    }
  }
  committing_ = false;
  for (const std::uint32_t number : committed_shards)
    if (Shard* shard = core_.FindShard(number)) core_.closer().OnCommitted(*shard);
}

void ShardKeeper::Sweep() {
  NoteTime();
  const SteadyTime now = core_.clock().Now();
  std::size_t records = 0;
  std::size_t users = 0;
  std::size_t detached = 0;
  for (const std::shared_ptr<Shard>& shard : std::vector(core_.all_shards())) {
    if (!shard) continue;
    records += shard->window.size();
    users += shard->users.size();
    if (shard->phase == Shard::Phase::kAcquiring || shard->suspended) continue;
    shard->duplicates.Expire(now - core_.settings().duplicate_horizon * 8);
    core_.deliverer().StoreOldPackets(*shard);
    if (shard->live()) core_.sessions().Sweep(*shard);
    core_.offline().Sweep(*shard);
    core_.closer().Sweep(*shard);
    if (shard->paused &&
        static_cast<std::int64_t>(shard->window.size()) < core_.settings().max_window_records / 2) {
      shard->paused = false;
      core_.ports().shard_log.Resume(shard->number);
    }
    for (const auto& [bare, user] : shard->users)
      for (const auto& session : user->sessions) detached += session->detached ? 1 : 0;
  }
  core_.metrics().window_records.Set(static_cast<double>(records));
  core_.metrics().users.Set(static_cast<double>(users));
  core_.metrics().sessions.Set(static_cast<double>(core_.sessions_by_id().size()));
  core_.metrics().sessions_detached.Set(static_cast<double>(detached));
}

std::size_t ShardKeeper::owned() const {
  const auto& shards = core_.all_shards();
  return static_cast<std::size_t>(
      std::count_if(shards.begin(), shards.end(), [](const auto& s) { return s != nullptr; }));
}

std::size_t ShardKeeper::live() const {
  const auto& shards = core_.all_shards();
  return static_cast<std::size_t>(
      std::count_if(shards.begin(), shards.end(), [](const auto& s) { return s && s->live(); }));
}

}  // namespace rookery::session_manager
