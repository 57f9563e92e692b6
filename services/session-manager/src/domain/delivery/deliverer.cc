#include "domain/delivery/deliverer.h"

#include <algorithm>
#include <utility>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/held_records.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/packet_rows.h"
#include "domain/delivery/packets.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/metrics.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

bool Deliverer::HoldBack(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary) {
  if (delivery->offset < 0 || !IsBehind(*session.user, session)) return false;
  if (!delivery->is_answer) return waiting_.WaitBehind(session, delivery, primary);
  // Pushes of the roster wait for nothing: an answer with the roster as it was before them must not come
  // after them.
  if (HoldRecords(session, WaitingStanzas::OffsetsWaiting(*session.user, session, delivery->offset)))
    outbox_.Publish(session);
  return false;
}

void Deliverer::Send(Session& session, std::shared_ptr<Delivery> delivery, bool primary) {
  if (!HoldBack(session, delivery, primary)) packets_.SendNow(session, std::move(delivery), primary);
}

void Deliverer::SendToAll(std::span<Session* const> sessions, const std::shared_ptr<Delivery>& delivery,
                          bool primary) {
  if (sessions.size() == 1) {
    Send(*sessions.front(), delivery, primary);
    return;
  }
  // Several sessions are nearly always on few gateways: a linear look is the cheapest map.
  // An action is only good until the next Add on the same link, so targets are gathered first.
  std::vector<std::pair<GatewayPeer*, std::vector<std::pair<Session*, std::uint64_t>>>> by_gateway;
  for (Session* session : sessions) {
    if (HoldBack(*session, delivery, primary)) continue;
    packets_.Queue(*session, delivery, primary);
    if (session->gateway == nullptr || session->detached() || session->resend_after) continue;
    if (!outbox_.TakeTurn(*session)) {
      outbox_.Push(*session);
      continue;
    }
    auto it = std::find_if(by_gateway.begin(), by_gateway.end(),
                           [&](const auto& entry) { return entry.first == session->gateway; });
    if (it == by_gateway.end()) it = by_gateway.insert(by_gateway.end(), {session->gateway, {}});
    it->second.emplace_back(session, session->last_seq);
  }
  for (auto& [gateway, targets] : by_gateway) {
    session::v1::SessionManagerAction& action = gateway->Add();
    const Shard& shard = *targets.front().first->user->shard;
    action.set_shard(shard.number);
    action.set_epoch(shard.epoch);
    session::v1::Packet& packet = *action.mutable_packet();
    Outbox::Fill(packet, *delivery, primary);
    for (auto& [session, seq] : targets) {
      auto& target = *packet.add_targets();
      target.set_session_id(session->id.bytes().data(), SessionId::kBytes);
      target.set_seq(seq);
    }
  }
}

void Deliverer::Reply(Session& session, xmpp::Stanza stanza) {
  if (session.ended()) return;
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&stanza);
  delivery->received_at_ms = clock_.UnixMillisNow();
  Send(session, std::move(delivery), /*primary=*/false);
}

Deliverer::Sent Deliverer::SendRecord(Session& session, const std::shared_ptr<Delivery>& delivery,
                                      bool primary, bool recovering) {
  if (!recovering || delivery->offset > session.last_offset) {
    Send(session, delivery, primary);
    return Sent::kNow;
  }
  for (UnackedPacket& packet : session.unacked) {
    if (packet.offset != delivery->offset) continue;
    if (packet.delivery == nullptr) {
      packet.delivery = delivery;
      if (packet.stored_id != 0) {
        // It was sent from memory, and the store has never had it.
        packet.delivery = std::make_shared<Delivery>(*delivery);
        packet.delivery->stored_id = packet.stored_id;
      }
      packet.primary = primary;
      packets_.Hold(session, packet);
      session.unacked_bytes += packet.delivery->bytes();
      if (primary) ++packet.delivery->open_targets;
    }
    return Sent::kBefore;
  }
  if (IsHeld(session, delivery->offset)) {
    // Newer ones were sent while it waited.
    Send(session, delivery, primary);
    return Sent::kNow;
  }
  if (delivery->offset <= session.state.start_offset()) return Sent::kElsewhere;
  if (primary && delivery->offset > session.last_primary) {
    // It was sent something newer, but nothing that was addressed to it.
    if (IsPassedOver(session, delivery->offset)) return Sent::kElsewhere;
    Send(session, delivery, primary);
    return Sent::kNow;
  }
  if (!std::exchange(delivery->reached, true) && delivery->may_have_rows) {
    session.user->shard->window.Hold(delivery->offset);
    packet_rows_.TellReached(*session.user, {{delivery, /*holds=*/true}});
  }
  return Sent::kBefore;
}

void Deliverer::Release(Session& session, UnackedPacket& packet) {
  if (packet.held >= 0) session.user->shard->window.Release(std::exchange(packet.held, -1));
}

void Deliverer::Reach(User& user, UnackedPacket& packet) {
  if (!std::exchange(packet.delivery->reached, true) && packet.delivery->may_have_rows)
    packet_rows_.TellReached(user, {{packet.delivery, std::exchange(packet.held, -1) >= 0}});
  if (packet.held >= 0) user.shard->window.Release(std::exchange(packet.held, -1));
}

void Deliverer::Acknowledge(Session& session, std::uint64_t seq) {
  seq = std::min(seq, session.last_seq);
  if (seq <= session.acked_seq) return;
  std::vector<std::uint64_t> offline_ids;
  std::vector<PacketRows::Reached> reached;
  std::uint64_t stored_up_to = 0;
  const bool is_alone = session.user->sessions.size() == 1;
  while (!session.unacked.empty() && session.unacked.front().seq <= seq) {
    UnackedPacket& packet = session.unacked.front();
    if (packet.stored_id != 0) offline_ids.push_back(packet.stored_id);
    if (packet.is_leaving) stored_up_to = packet.seq;
    if (packet.delivery) {
      if (!std::exchange(packet.delivery->reached, true) && packet.delivery->may_have_rows && !is_alone)
        reached.push_back({packet.delivery, std::exchange(packet.held, -1) >= 0});
      session.unacked_bytes -= std::min(session.unacked_bytes, packet.delivery->bytes());
      outbox_.OnAcknowledged(session, packet);
    }
    Release(session, packet);
    session.unacked.pop_front();
  }
  session.acked_seq = seq;
  // Before the rows of this session, which say it too, are removed.
  if (!reached.empty()) packet_rows_.TellReached(*session.user, std::move(reached));
  if (!offline_ids.empty()) marks_.MarkGiven(session, std::move(offline_ids));
  if (stored_up_to > 0)
    states_.WriterOf(*session.user->shard)
        .RemovePackets({session.user->bare, session.id.str()}, stored_up_to, {});
  hand_outs_.OnRoom(session);
  // A newer one of its name is behind it no longer, and what has waited for that comes first (W11).
  if (session.unacked.empty() && session.user->FindResource(session.resource()) != &session)
    hand_outs_.HandOutRows(*session.user);
}

void Deliverer::OnDelivered(Session& session, std::uint64_t seq) {
  Acknowledge(session, seq);
  if (session.link_seq < session.last_seq) outbox_.Push(session);
  CatchUp(session);
}

void Deliverer::CatchUp(Session& session) {
  const TellingAnew* const telling = session.rare().telling_anew.get();
  const bool has_portion = telling != nullptr && telling->last_seq && *telling->last_seq <= session.acked_seq;
  const bool is_behind =
      session.was_spared_presence || has_portion || session.state.missed_contacts_size() > 0;
  if (!is_behind || session.detached() || !HasRoom(settings_, session)) return;
  if (std::exchange(session.was_spared_presence, false)) {
    listener_->OnRoomForPresence(session);
  } else if (has_portion) {
    listener_->OnPortionTaken(session);
  }
  if (session.state.missed_contacts_size() > 0) roster_listener_->OnRoomForRoster(session);
}

bool Deliverer::Resend(Session& session, std::uint64_t after_seq) {
  session.resend_after.reset();
  const bool is_whole = std::none_of(session.unacked.begin(), session.unacked.end(), [&](const auto& packet) {
    return packet.seq > after_seq && packet.delivery == nullptr;
  });
  if (!is_whole) {
    if (!session.user->backlog) return false;
    session.resend_after = after_seq;
    return true;
  }
  if (session.gateway == nullptr) return true;
  for (UnackedPacket& unacked : session.unacked) {
    if (unacked.seq <= after_seq) continue;
    unacked.since = clock_.Now();
    metrics_.stanzas_resent.Increment();
  }
  outbox_.PushFrom(session, after_seq);
  return true;
}

std::vector<std::shared_ptr<Session>> Deliverer::ResendDue(User& user) {
  std::vector<std::shared_ptr<Session>> due;
  for (const auto& session : user.sessions)
    if (session->resend_after) due.push_back(session);
  std::erase_if(due, [this](const std::shared_ptr<Session>& session) {
    if (session->ended() || session->detached()) {
      session->resend_after.reset();
      return true;
    }
    return Resend(*session, *session->resend_after);
  });
  return due;
}

// ---- what a full session is spared ------------------------------------------

bool Deliverer::SpareIfFull(Session& session, const xmpp::Stanza& stanza, std::int64_t offset) {
  if (!SpareForGoodIfFull(session, offset)) return false;
  const bool is_presence = stanza.kind() == common::v1::STANZA_KIND_PRESENCE &&
                           (stanza.type().empty() || stanza.type() == "unavailable");
  if (is_presence && !std::exchange(session.was_spared_presence, true)) {
    session.MissPresence();
    outbox_.Publish(session);
  }
  return true;
}

bool Deliverer::SpareForGoodIfFull(const Session& session, std::int64_t offset) {
  // What it was given since, an earlier owner has decided.
  if (offset <= session.last_offset || !IsFull(settings_, session)) return false;
  metrics_.spared.Increment();
  return true;
}

bool Deliverer::SpareOwnCopyIfFull(const Session& session, std::int64_t offset) {
  if (offset <= session.last_offset || !IsFullForOwn(settings_, session)) return false;
  metrics_.spared.Increment();
  return true;
}

}  // namespace rookery::session_manager
