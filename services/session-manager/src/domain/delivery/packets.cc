#include "domain/delivery/packets.h"

#include <algorithm>
#include <utility>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/held_records.h"
#include "domain/metrics.h"
#include "domain/outbound/outbox.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

void Packets::Queue(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary) {
  UnackedPacket packet;
  packet.seq = ++session.last_seq;
  packet.offset = delivery->offset;
  packet.stored_id = delivery->stored_id;
  packet.delivery = delivery;
  packet.since = clock_.Now();
  packet.primary = primary;
  packet.has_row = delivery->has_row;
  if ((delivery->offset >= 0 || delivery->follows >= 0) && delivery->is_logged) Hold(session, packet);
  packet.is_late = delivery->offset >= 0 && !delivery->has_row && delivery->offset < session.last_offset;
  session.last_offset = std::max(session.last_offset, delivery->offset);
  if (NoteHeldGiven(session, delivery->offset, packet.seq)) outbox_.Publish(session);
  if (primary) {
    session.last_primary = std::max(session.last_primary, delivery->offset);
    ++delivery->open_targets;
  }
  session.unacked_bytes += delivery->bytes();
  session.unacked.push_back(std::move(packet));
  metrics_.packets_sent.Increment();
  if (static_cast<std::int64_t>(session.unacked.size()) > settings_.max_unacked_packets ||
      HasTooManyBytes(session))
    overflow_->EndOverflowing(session);
}

bool Packets::HasTooManyBytes(const Session& session) const {
  const auto most = static_cast<std::size_t>(settings_.max_unacked_bytes);
  if (session.unacked_bytes <= most) return false;
  // One stanza, however large, ends nobody's session.
  std::size_t largest = 0;
  for (const UnackedPacket& packet : session.unacked)
    if (packet.delivery) largest = std::max(largest, packet.delivery->bytes());
  return session.unacked_bytes > most + largest;
}

void Packets::Hold(Session& session, UnackedPacket& packet) {
  Shard& shard = *session.user->shard;
  packet.held = packet.offset >= 0 ? packet.offset : packet.delivery->follows;
  shard.window.Hold(packet.held);
  if (std::exchange(session.is_store_due, true)) return;
  states_.Of(shard).unacknowledged.Push(packet.since + settings_.window_time, table_.Find(session.id));
}

void Packets::SendNow(Session& session, std::shared_ptr<Delivery> delivery, bool primary) {
  Queue(session, delivery, primary);
  outbox_.Push(session);
}

}  // namespace rookery::session_manager
