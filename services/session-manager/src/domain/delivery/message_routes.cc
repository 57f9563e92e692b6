#include "domain/delivery/message_routes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "domain/delivery/bounces.h"
#include "domain/delivery/carbons.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/held_records.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/message_routing.h"
#include "domain/delivery/stamps.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/metrics.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;

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

void MessageRoutes::CopyToOthers(User& user, std::span<Session* const> sessions, const Delivery& message,
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
    if (!deliverer_.SpareIfFull(*session, message.stanza, message.offset))
      deliverer_.SendRecord(*session, copy, /*primary=*/false, recovering);
}

void MessageRoutes::Route(User& user, const std::shared_ptr<Delivery>& message, bool recovering) {
  if (recovering) {
    if (const std::shared_ptr<Delivery> restored = FindRestored(user, message->offset);
        restored && restored != message) {
      restored->is_logged = true;
      return Route(user, restored, recovering);
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
  const auto route = RouteMessage(message->stanza, resource, CandidatesOf(user), answers_copied);
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
  deliverer_.SendToAll(targets, message, /*primary=*/true);
}

std::shared_ptr<Delivery> MessageRoutes::FindRestored(const User& user, std::int64_t offset) {
  for (const auto& session : user.sessions)
    for (const UnackedPacket& packet : session->unacked)
      if (packet.offset == offset && packet.primary && packet.stored_id == 0 && packet.delivery)
        return packet.delivery;
  return nullptr;
}

void MessageRoutes::FindGiven(User& user, const std::shared_ptr<Delivery>& message,
                              std::span<const std::size_t> copies) {
  // An earlier owner may have chosen otherwise: what it gave keeps its number on the session.
  for (std::size_t i = 0; i < user.sessions.size(); ++i) {
    if (std::find(copies.begin(), copies.end(), i) != copies.end()) continue;
    Session& session = *user.sessions[i];
    const bool is_given =
        std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
          return packet.offset == message->offset && packet.delivery == nullptr;
        });
    if (is_given) deliverer_.SendRecord(session, message, /*primary=*/true, /*recovering=*/true);
  }
}

void MessageRoutes::StoreOrBounce(User& user, const std::shared_ptr<Delivery>& message, bool recovering) {
  if (IsStorable(message->stanza)) {
    waiting_.Store(user, message, recovering);
  } else if (xmpp::Has(message->stanza, common::v1::STANZA_TRAIT_BODY) ||
             ParseMessageType(message->stanza.type()) == MessageType::kGroupchat) {
    // Whatever a room has said: nobody would tell it otherwise that one of its occupants lacks it.
    bounces_.Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
  }
}

void MessageRoutes::RouteRecovered(User& user, const std::shared_ptr<Delivery>& message,
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
    given = deliverer_.SendRecord(session, message, /*primary=*/true, /*recovering=*/true) !=
                Deliverer::Sent::kElsewhere ||
            given;
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

void MessageRoutes::Abandon(User& user, Session& session) {
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

void MessageRoutes::RouteUnstored(User& user, Session& ended, const Delivery& message, bool is_logged) {
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
  const auto route = RouteMessage(stanza, /*resource=*/{}, CandidatesOf(user));
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
  deliverer_.SendToAll(targets, late, /*primary=*/true);
}

}  // namespace rookery::session_manager
