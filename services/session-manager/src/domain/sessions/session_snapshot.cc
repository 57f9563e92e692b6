#include "domain/sessions/session_snapshot.h"

#include <algorithm>
#include <limits>

#include "domain/delivery/held_records.h"

namespace rookery::session_manager {

session::v1::SessionAttach SnapshotOf(const Session& session) {
  session::v1::SessionAttach snapshot;
  snapshot.set_full_jid(std::string(session.jid.str()));
  snapshot.set_confirmed_count(session.inbound.confirmed());
  snapshot.set_last_seq(session.last_seq);
  snapshot.set_sent_seq(session.sent_seq);
  snapshot.set_acked_seq(session.acked_seq);
  snapshot.set_last_offset(session.last_offset);
  snapshot.set_last_primary(session.last_primary);
  for (const UnackedPacket& packet : session.unacked) {
    auto& unacked = *snapshot.add_unacked();
    unacked.set_seq(packet.seq);
    unacked.set_offset(packet.offset);
    unacked.set_stored_id(packet.stored_id);
    if (packet.offset < 0 && packet.delivery) *unacked.mutable_stanza() = packet.delivery->stanza;
  }
  snapshot.set_stream_management(session.management != StreamManagement::kOff);
  snapshot.set_resume(session.is_resumable());
  snapshot.set_base_seq(session.base_seq);
  snapshot.set_detached(session.detached());
  snapshot.set_state(session.state.SerializeAsString());
  return snapshot;
}

StreamManagement ManagementOf(const session::v1::SessionAttach& snapshot) {
  if (!snapshot.stream_management()) return StreamManagement::kOff;
  return snapshot.resume() ? StreamManagement::kResumable : StreamManagement::kOn;
}

void Adopt(Session& session, const session::v1::SessionAttach& snapshot, SteadyTime now) {
  session.inbound.Reset(snapshot.confirmed_count());
  session.resent_up_to =
      snapshot.received_count() > 0 ? snapshot.received_count() : std::numeric_limits<std::uint64_t>::max();
  session.last_seq = session.sent_seq = session.link_seq = snapshot.last_seq();
  if (snapshot.has_sent_seq()) session.sent_seq = snapshot.sent_seq();
  session.acked_seq = snapshot.acked_seq();
  session.base_seq = snapshot.base_seq();
  session.management = ManagementOf(snapshot);
  if (!snapshot.state().empty()) (void)session.state.ParseFromString(snapshot.state());
  session.last_offset = std::max(snapshot.last_offset(), session.state.start_offset());
  session.last_primary = snapshot.has_last_primary() ? snapshot.last_primary() : session.last_offset;
  session.unacked = {};
  for (const auto& unacked : snapshot.unacked()) {
    UnackedPacket packet;
    packet.seq = unacked.seq();
    packet.offset = unacked.offset();
    packet.stored_id = unacked.stored_id();
    packet.since = now;
    if (unacked.has_stanza()) {
      packet.delivery = std::make_shared<Delivery>();
      packet.delivery->stanza = unacked.stanza();
    }
    session.unacked.push_back(std::move(packet));
  }
  SettleHeld(session);
}

session::v1::SessionManagerState StateOf(const session::v1::SessionAttach& snapshot) {
  session::v1::SessionManagerState state;
  if (!state.ParseFromString(snapshot.state())) state.Clear();
  return state;
}

}  // namespace rookery::session_manager
