#include "domain/records/checkpointer.h"

#include <utility>

#include "domain/metrics.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::muc {

namespace {

constexpr BackoffOptions kRetry{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
constexpr std::chrono::milliseconds kLook{20};

}  // namespace

void Checkpointer::OnChanged(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  // One that is being written is looked at when it has been.
  if (slot->is_saving) return;
  if (slot->is_urgent && shard.saving < kMaxSaving) return Save(shard, slot);
  if (std::exchange(slot->is_to_save, true)) return;
  shard.to_save.push({slot->is_urgent ? clock_.Now() : slot->saved_at + kEvery, slot});
}

void Checkpointer::SaveDue(RoomShard& shard, bool all) {
  const SteadyTime now = clock_.Now();
  while (!shard.to_save.empty() && shard.saving < kMaxSaving && (all || shard.to_save.top().at <= now)) {
    const std::shared_ptr<RoomSlot> slot = shard.to_save.top().slot;
    shard.to_save.pop();
    slot->is_to_save = false;
    Save(shard, slot);
  }
}

void Checkpointer::Save(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  if (slot->is_saving || !slot->room || !slot->room->has_changed()) return;
  slot->is_saving = true;
  ++shard.saving;
  shard.Spawn("room.save", Write(std::static_pointer_cast<RoomShard>(shard.shared_from_this()), slot));
}

Task<void> Checkpointer::Write(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot) {
  RoomChanges changes = slot->room->TakeChanges();
  changes.applied = slot->applied;
  const std::vector<std::int64_t> held = std::exchange(slot->unsaved, {});
  const std::shared_ptr<Appends> appends = std::exchange(slot->appends, std::make_shared<Appends>(executor_));
  slot->is_urgent = false;
  // R4: whoever loads this does not say again what follows from it.
  while (appends->open > 0) co_await appends->all_done.Wait();
  for (runtime::Backoff backoff(kRetry);; co_await backoff.Wait()) {
    const absl::Status saved = co_await store_.Save(shard->number, shard->epoch, changes);
    if (saved.ok()) break;
    metrics_.failed_checkpoints.Increment();
    if (absl::IsFailedPrecondition(saved)) co_return OnSuperseded(shard);
    if (backoff.failures() == 0)
      telemetry::LogWarn("room.not_saved", {{"shard", shard->number}, {"error", Message(saved)}});
  }
  metrics_.checkpoints.Increment();
  // Kept until no record from before is read again: else a new owner would find no room, and make it anew of
  // what was said in it.
  if (changes.is_destroyed) shard->destroyed.insert(changes.applied);
  for (const std::int64_t offset : held) shard->window.Release(offset);
  slot->saved_at = clock_.Now();
  slot->is_saving = false;
  --shard->saving;
  if (slot->room->has_changed()) OnChanged(*shard, slot);
}

void Checkpointer::OnSuperseded(const std::shared_ptr<RoomShard>& shard) {
  shard->is_superseded = true;
  owner_.Doubt(shard);
}

Task<void> Checkpointer::SaveAll(std::shared_ptr<RoomShard> shard, SteadyTime limit) {
  while (clock_.Now() < limit && !shard->is_superseded) {
    SaveDue(*shard, /*all=*/true);
    if (shard->saving == 0 && shard->to_save.empty()) co_return;
    co_await runtime::Sleep(kLook);
  }
}

void Checkpointer::ForgetDestroyed(RoomShard& shard) {
  if (shard.destroyed.empty() || *shard.destroyed.begin() >= shard.last_commit ||
      clock_.Now() < shard.forget_destroyed_at)
    return;
  shard.forget_destroyed_at = clock_.Now() + kForgetEvery;
  shard.Spawn("rooms.forget_destroyed",
              Forget(std::static_pointer_cast<RoomShard>(shard.shared_from_this())));
}

Task<void> Checkpointer::Forget(std::shared_ptr<RoomShard> shard) {
  const std::int64_t cursor = shard->last_commit;
  const absl::Status forgotten = co_await store_.ForgetDestroyed(shard->number, shard->epoch, cursor);
  if (absl::IsFailedPrecondition(forgotten)) co_return OnSuperseded(shard);
  if (!forgotten.ok()) co_return;  // the next one will do
  shard->destroyed.erase(shard->destroyed.begin(), shard->destroyed.lower_bound(cursor));
}

}  // namespace rookery::muc
