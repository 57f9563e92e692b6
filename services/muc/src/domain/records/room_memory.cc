#include "domain/records/room_memory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "domain/metrics.h"

namespace rookery::muc {

void RoomMemory::Watch(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  slot->used_at = clock_.Now();
  shard.watched.Push(slot->used_at + kQuietWithoutRoom, slot);
}

void RoomMemory::Measure(RoomSlot& slot) {
  const std::size_t bytes = slot.room->bytes(), occupants = slot.room->session_count();
  bytes_ += bytes - std::exchange(slot.counted_bytes, bytes);
  occupants_ += occupants - std::exchange(slot.counted_occupants, occupants);
  if (!is_full()) space_.Notify();
}

void RoomMemory::Uncount(RoomSlot& slot) {
  bytes_ -= std::exchange(slot.counted_bytes, 0);
  occupants_ -= std::exchange(slot.counted_occupants, 0);
  if (!is_full()) space_.Notify();
}

bool RoomMemory::IsIdle(const RoomSlot& slot) {
  return slot.waiting.empty() && !slot.is_loading && !slot.is_saving && slot.unsaved.empty() &&
         slot.appends->open == 0 && (!slot.room || !slot.room->has_changed());
}

void RoomMemory::Forget(RoomShard& shard, RoomSlot& slot) {
  if (slot.room) metrics_.rooms_unloaded.Increment();
  Uncount(slot);
  // It may still be watched.
  slot.room.reset();
  slot.grouped.reset();
  slot.groups = {};
  shard.rooms.erase(slot.room_jid);
}

void RoomMemory::ForgetQuiet(RoomShard& shard) {
  const SteadyTime now = clock_.Now();
  while (const auto due = shard.watched.Pop(now)) {
    const std::shared_ptr<RoomSlot>& slot = *due;
    const auto found = shard.rooms.find(slot->room_jid);
    if (found == shard.rooms.end() || found->second != slot) continue;
    const SteadyTime quiet_at =
        slot->used_at + (slot->room && slot->room->exists() ? kQuiet : kQuietWithoutRoom);
    if (IsIdle(*slot) && quiet_at <= now) {
      Forget(shard, *slot);
    } else {
      shard.watched.Push(std::max(quiet_at, now + kQuietWithoutRoom), slot);
    }
  }
}

void RoomMemory::ForgetLeastUsed(const sharding::ShardOwner& owner) {
  if (!is_full()) return;
  struct Candidate {
    RoomShard* shard;
    std::shared_ptr<RoomSlot> slot;
  };
  std::vector<Candidate> candidates;
  for (const auto& [number, shared] : owner.shards()) {
    auto& shard = static_cast<RoomShard&>(*shared);
    for (const auto& [jid, slot] : shard.rooms)
      if (slot->room && IsIdle(*slot)) candidates.push_back({&shard, slot});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.slot->used_at < b.slot->used_at; });
  // A quarter, so that it is not done for each room that is loaded.
  const std::size_t enough = static_cast<std::size_t>(settings_.max_memory_bytes) / 4 * 3;
  for (const Candidate& candidate : candidates) {
    if (bytes_ <= enough) return;
    Forget(*candidate.shard, *candidate.slot);
  }
}

void RoomMemory::ForgetAll(RoomShard& shard) {
  for (const auto& [jid, slot] : shard.rooms) Uncount(*slot);
  shard.rooms.clear();
  shard.to_load.clear();
  shard.to_apply.clear();
  shard.to_save.clear();
  shard.watched.clear();
}

Task<void> RoomMemory::AwaitSpace() {
  while (is_full()) co_await space_.Wait();
}

}  // namespace rookery::muc
