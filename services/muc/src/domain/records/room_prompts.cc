#include "domain/records/room_prompts.h"

#include <utility>

namespace rookery::muc {

void RoomPrompts::Look(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot,
                       const OutcomeWriter::Cause& cause) {
  if (!slot->room->exists() || slot->room->state().unfinished().empty()) return;
  if (std::exchange(slot->is_prompted, true)) return;
  shard.window.Hold(cause.offset);
  shard.Spawn("room.prompt", Say(std::static_pointer_cast<RoomShard>(shard.shared_from_this()), slot, cause));
}

Task<void> RoomPrompts::Say(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                            OutcomeWriter::Cause cause) {
  events::v1::RoomRecord record;
  events::v1::RoomPrompt& prompt = *record.mutable_prompt();
  prompt.set_room(slot->room_jid);
  prompt.set_number(slot->room->state().prompts());
  record.set_trace_id(cause.trace_id);
  record.set_received_at_ms(cause.received_at_ms);
  owner_.FillOrigin(*shard, *record.mutable_origin());
  // No faster than the log takes it.
  const std::shared_ptr<Appends> appends = slot->appends;
  while (appends->open > 0) co_await appends->all_done.Wait();
  sharding::ShardOwner::Place place{events::Topic::kRooms, shard->number, slot->room_jid};
  (void)co_await owner_.AppendUntilTaken(shard, std::move(place), [&] { return &record; });
  shard->window.Release(cause.offset);
}

}  // namespace rookery::muc
