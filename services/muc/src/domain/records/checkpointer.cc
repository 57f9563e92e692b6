#include "domain/records/checkpointer.h"

#include <utility>

#include "domain/metrics.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::muc {

void Checkpointer::OnChanged(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  // One that is being written is looked at when it has been.
  if (slot->is_saving) return;
  if (slot->is_urgent && MayBegin(shard, *slot)) return Save(shard, slot);
  if (std::exchange(slot->is_to_save, true)) return;
  shard.to_save.Push(slot->is_urgent ? clock_.Now() : slot->saved_at + kEvery, slot);
}

bool Checkpointer::MayBegin(const RoomShard& shard, const RoomSlot& slot) {
  // One that waits for the log waits for no place in the store yet.
  return slot.appends->open > 0 || shard.saving < kMaxSaving;
}

void Checkpointer::SaveDue(RoomShard& shard, bool all) {
  const SteadyTime until = all ? SteadyTime::max() : clock_.Now();
  while (const auto due = shard.to_save.Pop(until)) {
    const std::shared_ptr<RoomSlot>& slot = *due;
    // It remains the first.
    if (!slot->is_saving && !MayBegin(shard, *slot)) return shard.to_save.Push(SteadyTime::min(), slot);
    slot->is_to_save = false;
    Save(shard, slot);
  }
}

void Checkpointer::Save(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  if (slot->is_saving || !slot->room || !slot->room->has_changed()) return;
  slot->is_saving = true;
  slot->is_urgent = false;
  Checkpoint checkpoint{.changes = slot->room->TakeChanges(),
                        .held = std::exchange(slot->unsaved, {}),
                        .appends = std::exchange(slot->appends, std::make_shared<Appends>(executor_))};
  checkpoint.changes.applied = slot->applied;
  const auto shared = std::static_pointer_cast<RoomShard>(shard.shared_from_this());
  if (checkpoint.appends->open == 0) {
    ++shard.saving;
    shard.SpawnVital("room.save", Write(shared, slot, std::move(checkpoint)));
  } else {
    ++shard.awaiting_log;
    shard.SpawnVital("room.save", WriteOnceLogged(shared, slot, std::move(checkpoint)));
  }
}

Task<void> Checkpointer::WriteOnceLogged(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                                         Checkpoint checkpoint) {
  // R4: whoever loads this does not say again what follows from it.
  while (checkpoint.appends->open > 0) co_await checkpoint.appends->all_done.Wait();
  while (shard->saving >= kMaxSaving) co_await shard->saved.Wait();
  --shard->awaiting_log;
  ++shard->saving;
  co_await Write(std::move(shard), std::move(slot), std::move(checkpoint));
}

Task<void> Checkpointer::Write(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                               Checkpoint checkpoint) {
  const RoomChanges& changes = checkpoint.changes;
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
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
  for (const std::int64_t offset : checkpoint.held) shard->window.Release(offset);
  slot->saved_at = clock_.Now();
  slot->is_saving = false;
  --shard->saving;
  if (slot->room->has_changed()) OnChanged(*shard, slot);
  shard->saved.Notify();
}

void Checkpointer::OnSuperseded(const std::shared_ptr<RoomShard>& shard) {
  shard->is_superseded = true;
  shard->saved.Notify();
  owner_.Doubt(shard);
}

Task<void> Checkpointer::SaveAll(std::shared_ptr<RoomShard> shard, SteadyTime limit) {
  while (clock_.Now() < limit && !shard->is_superseded) {
    SaveDue(*shard, /*all=*/true);
    const bool is_all = shard->saving + shard->awaiting_log == 0 && shard->to_save.empty();
    if (is_all || shard->is_superseded) co_return;
    co_await shard->saved.Wait(Deadline::After(limit - clock_.Now()));
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
