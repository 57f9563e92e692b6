#include "domain/delivery/deliverer.h"

#include <algorithm>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "domain/delivery/bounces.h"
#include "domain/delivery/carbons.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/held_records.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/message_routing.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/packet_rows.h"
#include "domain/delivery/packets.h"
#include "domain/delivery/stamps.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/link_actions.h"
#include "domain/outbound/outbox.h"

namespace rookery::session_manager {

namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;

absl::InlinedVector<Candidate, 4> CandidatesOf(const User& user) {
  absl::InlinedVector<Candidate, 4> candidates;
  candidates.reserve(user.sessions.size());
  for (const auto& session : user.sessions)
    candidates.push_back(
        {session->resource(), session->available(), session->priority(), session->state.carbons()});
  return candidates;
}

bool HasPacketOf(const Session& session, std::int64_t offset) {
  return std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
    return packet.offset == offset && packet.stored_id == 0;
  });
}

}  // namespace

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
  const bool is_behind = session.was_spared_presence || session.state.missed_contacts_size() > 0;
  if (!is_behind || session.detached() || !HasRoom(settings_, session)) return;
  if (std::exchange(session.was_spared_presence, false)) listener_->OnRoomForPresence(session);
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

// ---- messages ---------------------------------------------------------------

bool Deliverer::SpareIfFull(Session& session, const xmpp::Stanza& stanza, std::int64_t offset) {
  if (!SpareForGoodIfFull(session, offset)) return false;
  const bool is_presence =
      stanza.kind() == STANZA_KIND_PRESENCE && (stanza.type().empty() || stanza.type() == "unavailable");
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

void Deliverer::CopyToOthers(User& user, std::span<Session* const> sessions, const Delivery& message,
                             bool recovering) {
  if (message.stanza.type() != "error") {
    user.features.Of<CopiedMessages>().Add(message.stanza.id(), xmpp::BareOf(message.stanza.from()));
  }
  auto copy = std::make_shared<Delivery>();
  copy->stanza = MakeCarbon("received", message.stanza, user.bare);
  copy->offset = message.offset;
  copy->received_at_ms = message.received_at_ms;
  copy->trace_id = message.trace_id;
  copy->to_each = true;
  for (Session* session : sessions)
    if (!SpareIfFull(*session, message.stanza, message.offset))
      SendRecord(*session, copy, /*primary=*/false, recovering);
}

void Deliverer::RouteMessage(User& user, const std::shared_ptr<Delivery>& message, bool recovering) {
  if (recovering) {
    if (const std::shared_ptr<Delivery> restored = FindRestored(user, message->offset);
        restored && restored != message) {
      restored->is_logged = true;
      return RouteMessage(user, restored, recovering);
    }
  }
  const std::string_view resource = xmpp::ResourceOf(message->stanza.to());
  // A session that began later is not the one that the message was for.
  const Session* const namesake = resource.empty() ? nullptr : user.FindResource(resource, message->offset);
  const bool matches = namesake != nullptr && message->offset > namesake->state.start_offset();
  // An error is copied where the message that it answers was (XEP-0280 section 6.1).
  const CopiedMessages* const copied = user.features.Find<CopiedMessages>();
  const bool answers_copied = copied != nullptr && message->stanza.type() == "error" &&
                              copied->Contains(message->stanza.id(), xmpp::BareOf(message->stanza.from()));
  const auto route =
      session_manager::RouteMessage(message->stanza, resource, CandidatesOf(user), answers_copied);
  if (recovering) FindGiven(user, message, route.copies);
  if (!route.copies.empty()) {
    absl::InlinedVector<Session*, 4> copies;
    for (std::size_t i : route.copies) copies.push_back(user.sessions[i].get());
    CopyToOthers(user, copies, *message, recovering);
  }
  switch (route.fate) {
    case MessageFate::kIgnore:
      return;
    case MessageFate::kBounce:
      bounces_.Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
      return;
    case MessageFate::kStore:
      if (recovering) {
        RouteRecovered(user, message, {}, /*to_account=*/true);
      } else {
        StoreOrBounce(user, message, /*recovering=*/false);
      }
      return;
    case MessageFate::kDeliver:
      break;
  }
  if (recovering) {
    RouteRecovered(user, message, route.targets, /*to_account=*/!matches);
    return;
  }
  if (user.sessions.size() > route.targets.size() && namesake == nullptr)
    PassOverAbsent(outbox_, user, message->offset);
  absl::InlinedVector<Session*, 4> targets;
  for (std::size_t i : route.targets)
    if (!IsFull(settings_, *user.sessions[i])) targets.push_back(user.sessions[i].get());
  const bool is_storable = IsStorable(message->stanza);
  if (targets.empty()) {
    // None of them can take it (B4).
    metrics_.spared.Increment();
    if (is_storable) {
      waiting_.WaitBehind(user, message, /*recovering=*/false);
      hand_outs_.HandOutSoon(user);
    } else {
      StoreOrBounce(user, message, /*recovering=*/false);
    }
    return;
  }
  if (targets.size() < route.targets.size())
    for (std::size_t i : route.targets)
      if (IsFull(settings_, *user.sessions[i])) PassOver(outbox_, *user.sessions[i], message->offset);
  // A message that waited while a session began or became available was not for that session, and should it
  // be sent to it all the same, a later owner would not know (P5): it goes to those who were there.
  const auto was_absent = [&](const Session* target) {
    return !matches && !WasThereFor(*target, message->offset);
  };
  const bool is_too_old = std::all_of(targets.begin(), targets.end(), was_absent);
  if (is_storable && !is_too_old)
    targets.erase(std::remove_if(targets.begin(), targets.end(), was_absent), targets.end());
  const bool is_behind =
      is_storable && std::any_of(targets.begin(), targets.end(), [&](const Session* target) {
        return IsBehind(user, *target) || IsLeftBehind(user, *target) || IsBehindOlder(user, *target);
      });
  if (is_behind) {
    waiting_.WaitBehind(user, message, /*recovering=*/false);
    return;
  }
  // Nobody was there, or it is for one that is gone (P6): only as one that was handed out does a later owner
  // know it.
  const bool is_in_place = !resource.empty() && !matches && targets.size() == 1;
  if (is_storable && (is_too_old || is_in_place)) {
    waiting_.WaitBehind(user, message, /*recovering=*/false);
    hand_outs_.HandOutSoon(user);
    return;
  }
  SendToAll(targets, message, /*primary=*/true);
}

std::shared_ptr<Delivery> Deliverer::FindRestored(const User& user, std::int64_t offset) {
  for (const auto& session : user.sessions)
    for (const UnackedPacket& packet : session->unacked)
      if (packet.offset == offset && packet.primary && packet.stored_id == 0 && packet.delivery)
        return packet.delivery;
  return nullptr;
}

void Deliverer::FindGiven(User& user, const std::shared_ptr<Delivery>& message,
                          std::span<const std::size_t> copies) {
  // An earlier owner may have chosen otherwise: what it gave keeps its number on the session.
  for (std::size_t i = 0; i < user.sessions.size(); ++i) {
    if (std::find(copies.begin(), copies.end(), i) != copies.end()) continue;
    Session& session = *user.sessions[i];
    const bool is_given =
        std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
          return packet.offset == message->offset && packet.delivery == nullptr;
        });
    if (is_given) SendRecord(session, message, /*primary=*/true, /*recovering=*/true);
  }
}

void Deliverer::StoreOrBounce(User& user, const std::shared_ptr<Delivery>& message, bool recovering) {
  if (IsStorable(message->stanza)) {
    waiting_.Store(user, message, recovering);
  } else if (xmpp::Has(message->stanza, common::v1::STANZA_TRAIT_BODY) ||
             ParseMessageType(message->stanza.type()) == MessageType::kGroupchat) {
    // Whatever a room has said: nobody would tell it otherwise that one of its occupants lacks it.
    bounces_.Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
  }
}

void Deliverer::RouteRecovered(User& user, const std::shared_ptr<Delivery>& message,
                               std::span<const std::size_t> targets, bool to_account) {
  const std::int64_t offset = message->offset;
  if (WaitingStanzas::IsRefused(*user.shard, offset)) return;
  bool given = false;
  int given_priority = std::numeric_limits<int>::min();
  for (const auto& session : user.sessions) {
    for (const UnackedPacket& packet : session->unacked) {
      if (packet.offset != offset) continue;
      if (packet.stored_id != 0) return;  // from the store
      if (!packet.primary) continue;
      given = true;
      given_priority = std::max(given_priority, session->priority());
    }
  }
  const auto was_sent_newer = [&](const std::shared_ptr<Session>& session) {
    return WasThereFor(*session, offset) && offset <= session->last_primary && !IsHeld(*session, offset);
  };
  const auto sent_newer = std::count_if(user.sessions.begin(), user.sessions.end(), was_sent_newer);
  // For a session that is gone: what the only other one was sent does not say that it was sent this (P6).
  const bool is_in_place = to_account && !xmpp::ResourceOf(message->stanza.to()).empty() && sent_newer < 2;
  if (is_in_place && IsStorable(message->stanza) && !given && message->open_targets == 0 &&
      !message->reached) {
    StoreOrBounce(user, message, /*recovering=*/true);
    hand_outs_.HandOutSoon(user);
    return;
  }
  // The client of one of those that it is for has it: it went to all of them then, and waits for none.
  const bool is_had = to_account && std::any_of(targets.begin(), targets.end(), [&](std::size_t i) {
                        return was_sent_newer(user.sessions[i]);
                      });
  const bool is_behind =
      !given && !is_had && IsStorable(message->stanza) &&
      std::any_of(targets.begin(), targets.end(), [&](std::size_t i) {
        const Session& session = *user.sessions[i];
        return offset > session.last_primary && (IsBehind(user, session) || IsLeftBehind(user, session) ||
                                                 IsBehindOlder(user, session) || IsFull(settings_, session));
      });
  if (is_behind) {
    waiting_.WaitBehind(user, message, /*recovering=*/true);
    if (!user.delivery->receiver) hand_outs_.HandOutSoon(user);
    return;
  }
  for (std::size_t i : targets) {
    Session& session = *user.sessions[i];
    // Others have it, or nobody keeps it (B4).
    if (offset > session.last_offset && IsFull(settings_, session)) continue;
    // A message that went to the store, or to others, while it was not available was not given to it.
    if (to_account && !WasThereFor(session, offset) && FindEmptyPacket(session, offset) == nullptr) continue;
    // It comes with all else that the older session leaves (W11).
    const Session* const older = FindOlder(user, session);
    if (older != nullptr && offset > session.last_primary && HasPacketOf(*older, offset)) continue;
    // Beside the one that has it unacknowledged, only its equals were given it too.
    if (to_account && given && session.priority() < given_priority) continue;
    given = SendRecord(session, message, /*primary=*/true, /*recovering=*/true) != Sent::kElsewhere || given;
  }
  if (given || message->open_targets > 0 || message->reached) return;
  const MessageType type = ParseMessageType(message->stanza.type());
  if (type == MessageType::kHeadline || type == MessageType::kError) return;
  // For an earlier session of that name: an error would take this one out of the room.
  if (type == MessageType::kGroupchat && user.FindResource(xmpp::ResourceOf(message->stanza.to())) != nullptr)
    return;
  // A session that was there, and was not passed over, was given newer messages than this one:
  // it went to one of the user's sessions then, and its client has it.
  if (to_account && sent_newer > 0) return;
  // Either an earlier owner has stored or bounced it, then doing so again changes nothing; or it
  // died before it could.
  StoreOrBounce(user, message, /*recovering=*/true);
  hand_outs_.HandOutSoon(user);
}

void Deliverer::Abandon(User& user, Session& session) {
  UnackedQueue packets = std::exchange(session.unacked, {});
  bool waits = false;
  bool has_rows = false;
  for (UnackedPacket& packet : packets) {
    // A row stays until somebody has it.
    has_rows = has_rows || packet.has_row || (packet.stored_id != 0 && packet.delivery == nullptr);
    session.has_rows = session.has_rows || packet.is_leaving;
    if (packet.delivery && packet.primary) {
      const std::shared_ptr<Delivery>& delivery = packet.delivery;
      if (delivery->open_targets > 0) --delivery->open_targets;
      if (!delivery->reached && delivery->open_targets == 0) {
        const xmpp::Stanza& stanza = delivery->stanza;
        if (stanza.kind() == STANZA_KIND_MESSAGE) {
          metrics_.rerouted.Increment();
          if (packet.has_row) {
            // Its row in the store stays until somebody has it.
          } else if (IsStorable(stanza)) {
            // Not to another session at once: should we die in between, nobody could tell which of
            // its records that session has not been given (XEP-0198 section 5).
            waiting_.StoreEnded(user, session, delivery, /*is_last_trace=*/packet.held < 0);
            waits = true;
          } else {
            RouteUnstored(user, session, *delivery, packet.held >= 0);
          }
        } else {
          RouteUnstored(user, session, *delivery, packet.held >= 0);
        }
      }
    }
    if (packet.held >= 0) user.shard->window.Release(packet.held);
  }
  waiting_.DropBehind(user, session, [&](const Delivery& delivery) {
    RouteUnstored(user, session, delivery, delivery.is_logged);
  });
  hand_outs_.OnRoom(session);
  // One of its name that has begun already waits for what it leaves, and all that is newer with it (W11).
  if (has_rows || user.FindResource(session.resource()) != nullptr) {
    hand_outs_.HandOutRows(user);
  } else if (waits) {
    hand_outs_.HandOutSoon(user);
  }
}

void Deliverer::RouteUnstored(User& user, Session& ended, const Delivery& message, bool is_logged) {
  const xmpp::Stanza& stanza = message.stanza;
  const auto bounce = [&] {
    if (is_logged) {
      bounces_.Bounce(*user.shard, message, xmpp::ErrorCondition::kServiceUnavailable);
    } else {
      bounces_.BounceEnded(*user.shard, ended.EndWritesOf(), message,
                           xmpp::ErrorCondition::kServiceUnavailable);
    }
  };
  if (stanza.kind() == STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set")) bounce();
  if (stanza.kind() != STANZA_KIND_MESSAGE) return;
  const MessageType type = ParseMessageType(stanza.type());
  // The room of the last one hears that the session is gone, and the next one of that name has not entered
  // it.
  if (type == MessageType::kHeadline || type == MessageType::kError || type == MessageType::kGroupchat)
    return;
  if (!xmpp::Has(stanza, common::v1::STANZA_TRAIT_BODY)) return;  // a chat state of then
  const auto route = session_manager::RouteMessage(stanza, /*resource=*/{}, CandidatesOf(user));
  if (route.fate != MessageFate::kDeliver) {
    bounce();
    return;
  }
  auto late = std::make_shared<Delivery>();
  late->stanza = stanza;
  late->offset = message.offset;
  late->is_logged = is_logged;
  late->received_at_ms = message.received_at_ms;
  late->trace_id = message.trace_id;
  AddDelay(late->stanza, xmpp::DomainOf(user.bare), message.received_at_ms);
  absl::InlinedVector<Session*, 4> targets;
  for (std::size_t i : route.targets) targets.push_back(user.sessions[i].get());
  SendToAll(targets, late, /*primary=*/true);
}

}  // namespace rookery::session_manager
