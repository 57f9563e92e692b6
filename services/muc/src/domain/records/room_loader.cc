#include "domain/records/room_loader.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "domain/metrics.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::muc {

namespace {

/// Whether the offset up to which it is true is one of the log that the shard's owner reads.
bool IsOfThisLog(const RoomShard& shard, const StoredRoom& stored) {
  if (stored.epoch >= shard.epoch) return true;
  // No earlier owner has applied what lies behind our fence.
  return stored.epoch >= shard.log_since && stored.applied < shard.fence_offset;
}

}  // namespace

void RoomLoader::Want(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  if (std::exchange(slot->is_loading, true)) return;
  slot->wanted_at = clock_.Now();
  shard.to_load.push_back(slot);
  if (std::exchange(shard.is_loading, true)) return;
  shard.SpawnVital("rooms.load", Run(std::static_pointer_cast<RoomShard>(shard.shared_from_this())));
}

std::vector<std::shared_ptr<RoomSlot>> RoomLoader::First(RoomShard& shard, std::size_t most) {
  std::vector<std::shared_ptr<RoomSlot>> slots;
  std::erase_if(shard.to_load, [&](const std::shared_ptr<RoomSlot>& slot) {
    // Those who have waited for it were told that it cannot be loaded.
    if (!slot->waiting.empty()) return false;
    slot->is_loading = false;
    return true;
  });
  while (slots.size() < std::min(most, shard.to_load.size())) slots.push_back(shard.to_load[slots.size()]);
  return slots;
}

Task<void> RoomLoader::Run(std::shared_ptr<RoomShard> shard) {
  // Rooms that are wanted in the same turn of the loop are asked for together.
  co_await runtime::Yield();
  runtime::Backoff backoff(kBackendRetries);
  std::size_t most = RoomStore::kMaxLoaded;
  for (;;) {
    co_await memory_.AwaitSpace();
    std::vector<std::shared_ptr<RoomSlot>> slots = First(*shard, most);
    if (slots.empty()) break;
    std::vector<std::string> rooms;
    for (const auto& slot : slots) rooms.push_back(slot->room_jid);
    auto loaded = co_await store_.Load(shard->number, std::move(rooms), kPageBytes);
    if (loaded.ok()) slots.resize(std::clamp<std::size_t>(loaded->looked_for, 1, slots.size()));
    shard->to_load.erase(shard->to_load.begin(),
                         shard->to_load.begin() + static_cast<std::ptrdiff_t>(slots.size()));
    if (!loaded.ok()) {
      metrics_.failed_loads.Increment();
      if (backoff.failures() == 0)
        telemetry::LogWarn("rooms.not_loaded",
                           {{"shard", shard->number}, {"error", Message(loaded.status())}});
      // It may be for one of them: the others are not to wait for that one.
      shard->to_load.insert(shard->to_load.end(), slots.begin(), slots.end());
      most = std::max<std::size_t>(most / 4, 1);
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    most = std::min(most * 2, RoomStore::kMaxLoaded);
    std::unordered_map<std::string, StoredRoom*> found;
    for (StoredRoom& room : loaded->rooms) found.emplace(room.room, &room);
    for (const auto& slot : slots) {
      const auto stored = found.find(slot->room_jid);
      Take(*shard, *slot, stored == found.end() ? nullptr : stored->second);
    }
    for (const auto& slot : slots) listener_.OnLoaded(*shard, slot);
    shard->moved.Notify();
  }
  shard->is_loading = false;
  shard->moved.Notify();
}

void RoomLoader::Take(RoomShard& shard, RoomSlot& slot, StoredRoom* stored) {
  metrics_.rooms_loaded.Increment();
  slot.is_loading = false;
  slot.saved_at = clock_.Now();
  if (stored == nullptr) {
    slot.room = std::make_unique<Room>(slot.room_jid);
    return;
  }
  slot.stored_up_to = IsOfThisLog(shard, *stored) ? stored->applied : -1;
  slot.room = std::make_unique<Room>(std::move(*stored));
}

void RoomLoader::Look(RoomShard& shard) {
  const SteadyTime now = clock_.Now();
  if (shard.to_load.empty() || now < shard.looked_at + kLook) return;
  shard.looked_at = now;
  const std::vector<std::shared_ptr<RoomSlot>> slots(shard.to_load.begin(), shard.to_load.end());
  std::size_t waiting = 0;
  for (const auto& slot : slots) waiting += slot->waiting.size();
  for (const auto& slot : slots)
    if (now - slot->wanted_at >= kPatience) listener_.OnUnavailable(shard, *slot, waiting > kMaxWaiting);
}

}  // namespace rookery::muc
