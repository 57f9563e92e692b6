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
  events::v1::RoomPrompt prompt;
  prompt.set_room(slot->room_jid);
  prompt.set_number(slot->room->state().prompts());
  // No faster than the log takes it.
  const std::shared_ptr<Appends> appends = slot->appends;
  while (appends->open > 0) co_await appends->all_done.Wait();
  writer_.WritePrompt(*shard, cause, prompt);
  shard->window.Release(cause.offset);
}

}  // namespace rookery::muc
