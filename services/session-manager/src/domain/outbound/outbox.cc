#include "domain/outbound/outbox.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "domain/outbound/confirmations.h"
#include "domain/outbound/link_actions.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

// ---- state ----------------------------------------------------------------------

void Outbox::Publish(Session& session) {
  if (session.ended()) return;
  // While its row is written, its gateway may forget it at any moment.
  if (session.gateway == nullptr || session.phase() == SessionPhase::kParking)
    listener_->OnStateChanged(session);
  if (session.gateway == nullptr) return;
  session.is_state_due = true;
  if (std::exchange(session.is_push_posted, true)) return;
  if (auto shared = table_.Find(session.id)) changed_.push_back(std::move(shared));
  if (std::exchange(is_posted_, true)) return;
  asio::post(executor_, [this] { PushChanged(); });
}

void Outbox::PushChanged() {
  is_posted_ = false;
  for (const auto& session : std::exchange(changed_, {})) {
    session->is_push_posted = false;
    // Something that came later for the session may have taken the state along.
    if (!session->ended() && session->is_state_due) Push(*session);
  }
}

void Outbox::SendState(Session& session) {
  AddAction(session).mutable_state()->set_state(session.state.SerializeAsString());
  session.is_state_due = false;
  if (std::exchange(session.awaits_state, false)) confirmations_.ConfirmLater(table_.Find(session.id));
}

// ---- packets --------------------------------------------------------------------

void Outbox::Fill(session::v1::Packet& packet, const Delivery& delivery, bool primary) {
  packet.set_offset(delivery.offset);
  packet.set_stored_id(delivery.stored_id);
  *packet.mutable_stanza() = delivery.stanza;
  packet.set_to_each(delivery.to_each);
  packet.set_trace_id(delivery.trace_id);
  packet.set_dispensable(!primary);
}

bool Outbox::FindRoomOrQueue(Session& session) {
  if (!session.gateway->is_congested()) return true;
  if (!std::exchange(session.awaits_room, true)) behind_[session.gateway].push_back(table_.Find(session.id));
  return false;
}

bool Outbox::IsInPace(const Session& session, const UnackedPacket& packet) const {
  return session.bytes_under_way == 0 || session.bytes_under_way + packet.delivery->bytes() <=
                                             static_cast<std::size_t>(settings_.max_under_way_bytes);
}

void Outbox::NoteUnderWay(Session& session, UnackedPacket& packet) {
  session.link_seq = packet.seq;
  session.sent_seq = std::max(session.sent_seq, packet.seq);
  session.bytes_under_way += packet.delivery->bytes();
  packet.is_under_way = true;
}

bool Outbox::TakeTurn(Session& session) {
  if (session.gateway->is_congested()) return false;
  if (session.is_state_due) SendState(session);
  UnackedPacket& packet = session.unacked.back();
  if (session.link_seq + 1 != packet.seq || !IsInPace(session, packet)) return false;
  NoteUnderWay(session, packet);
  return true;
}

void Outbox::OnAcknowledged(Session& session, UnackedPacket& packet) {
  if (std::exchange(packet.is_under_way, false)) session.bytes_under_way -= packet.delivery->bytes();
}

void Outbox::PushFrom(Session& session, std::uint64_t after_seq) {
  session.link_seq = after_seq;
  // Its gateway has the others, and its client has not taken them yet.
  session.bytes_under_way = 0;
  for (UnackedPacket& packet : session.unacked) {
    packet.is_under_way = packet.seq <= after_seq && packet.delivery != nullptr;
    if (packet.is_under_way) session.bytes_under_way += packet.delivery->bytes();
  }
  Push(session);
}

void Outbox::Push(Session& session) {
  if (session.gateway == nullptr) return;
  if (session.is_state_due) {
    if (!FindRoomOrQueue(session)) return;
    SendState(session);
  }
  if (session.detached() || session.resend_after) return;
  const Shard& shard = *session.user->shard;
  auto unacked =
      std::partition_point(session.unacked.begin(), session.unacked.end(),
                           [&](const UnackedPacket& packet) { return packet.seq <= session.link_seq; });
  for (; unacked != session.unacked.end() && unacked->delivery != nullptr; ++unacked) {
    if (!IsInPace(session, *unacked) || !FindRoomOrQueue(session)) return;
    session::v1::SessionManagerAction& action = session.gateway->Add();
    action.set_shard(shard.number);
    action.set_epoch(shard.epoch);
    session::v1::Packet& packet = *action.mutable_packet();
    Fill(packet, *unacked->delivery, unacked->primary);
    auto& target = *packet.add_targets();
    target.set_session_id(session.id.bytes().data(), SessionId::kBytes);
    target.set_seq(unacked->seq);
    NoteUnderWay(session, *unacked);
  }
}

void Outbox::OnRoom(GatewayPeer& gateway) {
  auto found = behind_.extract(&gateway);
  if (found.empty()) return;
  std::deque<std::weak_ptr<Session>> waiting = std::move(found.mapped());
  while (!waiting.empty() && !gateway.is_congested()) {
    const std::shared_ptr<Session> session = waiting.front().lock();
    waiting.pop_front();
    // It may have gone to another gateway, and may be back.
    if (session == nullptr || session->gateway != &gateway) continue;
    session->awaits_room = false;
    Push(*session);
  }
  if (waiting.empty()) return;
  // Behind those that have not had their turn comes the one that was interrupted.
  std::deque<std::weak_ptr<Session>>& again = behind_[&gateway];
  again.insert(again.begin(), waiting.begin(), waiting.end());
}

}  // namespace rookery::session_manager
