#include "domain/records/room_loader.h"

#include <algorithm>
#include <utility>

#include "domain/metrics.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::muc {

namespace {

constexpr BackoffOptions kRetry{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};

}  // namespace

void RoomLoader::Want(const std::shared_ptr<RoomShard>& shard, const std::shared_ptr<RoomSlot>& slot) {
  if (std::exchange(slot->is_loading, true)) return;
  slot->used_at = clock_.Now();
  shard->to_load.push_back(slot);
  if (std::exchange(shard->is_loading, true)) return;
  shard->Spawn("rooms.load", Run(shard));
}

Task<void> RoomLoader::Run(std::shared_ptr<RoomShard> shard) {
  // What is wanted in the same turn of the loop is asked for together.
  co_await runtime::Yield();
  runtime::Backoff backoff(kRetry);
  while (!shard->to_load.empty()) {
    std::vector<std::shared_ptr<RoomSlot>> slots;
    std::vector<std::string> rooms;
    while (slots.size() < std::min(RoomStore::kMaxLoaded, shard->to_load.size())) {
      slots.push_back(shard->to_load[slots.size()]);
      rooms.push_back(slots.back()->room_jid);
    }
    auto loaded = co_await store_.Load(std::move(rooms));
    if (!loaded.ok()) {
      metrics_.failed_loads.Increment();
      if (backoff.failures() == 0)
        telemetry::LogWarn("rooms.not_loaded",
                           {{"shard", shard->number}, {"error", Message(loaded.status())}});
      for (const auto& slot : std::vector(shard->to_load.begin(), shard->to_load.end()))
        if (clock_.Now() - slot->used_at >= kPatience) listener_.OnUnavailable(*shard, *slot);
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    shard->to_load.erase(shard->to_load.begin(),
                         shard->to_load.begin() + static_cast<std::ptrdiff_t>(slots.size()));
    for (const auto& slot : slots) {
      const auto stored = std::find_if(loaded->begin(), loaded->end(),
                                       [&](const StoredRoom& room) { return room.room == slot->room_jid; });
      Take(*shard, *slot, stored == loaded->end() ? nullptr : &*stored);
    }
    for (const auto& slot : slots) listener_.OnLoaded(*shard, *slot);
  }
  shard->is_loading = false;
}

void RoomLoader::Take(RoomShard& shard, RoomSlot& slot, StoredRoom* stored) {
  metrics_.rooms_loaded.Increment();
  slot.is_loading = false;
  slot.saved_at = clock_.Now();
  if (stored == nullptr) {
    slot.room = std::make_unique<Room>(slot.room_jid);
    return;
  }
  // After a cut the offsets of earlier owners are those of records that are gone.
  const bool is_of_this_log = !shard.was_cut || stored->epoch >= shard.epoch;
  slot.stored_up_to = is_of_this_log ? stored->applied : -1;
  slot.room = std::make_unique<Room>(std::move(*stored));
}

}  // namespace rookery::muc
