#include "domain/deliverer.h"

#include <algorithm>

#include "domain/carbons.h"
#include "domain/message_routing.h"
#include "domain/offline_messages.h"
#include "domain/session_keeper.h"
#include "domain/stamps.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;

std::vector<Candidate> CandidatesOf(const User& user) {
  std::vector<Candidate> candidates;
  candidates.reserve(user.sessions.size());
  for (const auto& session : user.sessions)
    candidates.push_back(
        {session->resource(), session->available(), session->priority(), session->state.carbons()});
  return candidates;
}

}  // namespace

void Deliverer::Queue(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary) {
  UnackedPacket packet;
  packet.seq = ++session.last_seq;
  packet.offset = delivery->offset;
  packet.stored_id = delivery->stored_id;
  packet.delivery = delivery;
  packet.since = core_.clock().Now();
  packet.primary = primary;
  if (delivery->offset >= 0 && delivery->stored_id == 0) {
    session.user->shard->window.Hold(delivery->offset);
    packet.holds = true;
    packet.is_late = delivery->offset < session.last_offset;
  }
  session.last_offset = std::max(session.last_offset, delivery->offset);
  if (primary) {
    session.last_primary = std::max(session.last_primary, delivery->offset);
    ++delivery->open_targets;
  }
  session.unacked_bytes += delivery->stanza.payload().size() + 200;
  session.unacked.push_back(std::move(packet));
  core_.metrics().packets_sent.Increment();
  if (static_cast<std::int64_t>(session.unacked.size()) > core_.settings().max_unacked_packets ||
      static_cast<std::int64_t>(session.unacked_bytes) > core_.settings().max_unacked_bytes) {
    core_.sessions().EndOverflowing(session);
  }
}

void Deliverer::FillPacket(session::v1::Packet& packet, const Delivery& delivery) {
  packet.set_offset(delivery.offset);
  packet.set_stored_id(delivery.stored_id);
  *packet.mutable_stanza() = delivery.stanza;
  packet.set_to_each(delivery.to_each);
  packet.set_trace_id(delivery.trace_id);
}

void Deliverer::Give(Session& session, std::shared_ptr<Delivery> delivery, bool primary) {
  Queue(session, delivery, primary);
  if (session.gateway == nullptr || session.detached) return;
  session::v1::SessionManagerAction& action = session.gateway->Add();
  const Shard& shard = *session.user->shard;
  action.set_shard(shard.number);
  action.set_epoch(shard.epoch);
  session::v1::Packet& packet = *action.mutable_packet();
  FillPacket(packet, *delivery);
  auto& target = *packet.add_targets();
  target.set_session_id(session.id.view().data(), SessionId::kSize);
  target.set_seq(session.last_seq);
}

void Deliverer::GiveAll(const std::vector<Session*>& sessions, const std::shared_ptr<Delivery>& delivery,
                        bool primary) {
  if (sessions.size() == 1) {
    Give(*sessions.front(), delivery, primary);
    return;
  }
  // Several sessions are nearly always on few gateways: a linear look is the cheapest map.
  // An action is only good until the next Add on the same link, so targets are gathered first.
  std::vector<std::pair<GatewayPeer*, std::vector<std::pair<Session*, std::uint64_t>>>> by_gateway;
  for (Session* session : sessions) {
    Queue(*session, delivery, primary);
    if (session->gateway == nullptr || session->detached) continue;
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
    FillPacket(packet, *delivery);
    for (auto& [session, seq] : targets) {
      auto& target = *packet.add_targets();
      target.set_session_id(session->id.view().data(), SessionId::kSize);
      target.set_seq(seq);
    }
  }
}

void Deliverer::Reply(Session& session, xmpp::Stanza stanza) {
  if (session.ended) return;
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&stanza);
  delivery->received_at_ms = core_.clock().UnixMillisNow();
  Give(session, std::move(delivery), /*primary=*/false);
}

Deliverer::Given Deliverer::GiveRecord(Session& session, const std::shared_ptr<Delivery>& delivery,
                                       bool primary, bool recovering) {
  if (!recovering || delivery->offset > session.last_offset) {
    Give(session, delivery, primary);
    return Given::kNow;
  }
  for (UnackedPacket& packet : session.unacked) {
    if (packet.offset != delivery->offset) continue;
    if (packet.delivery == nullptr && packet.stored_id == 0) {
      packet.delivery = delivery;
      packet.primary = primary;
      packet.holds = true;
      session.user->shard->window.Hold(delivery->offset);
      session.unacked_bytes += delivery->stanza.payload().size() + 200;
      if (primary) ++delivery->open_targets;
    }
    return Given::kBefore;
  }
  if (delivery->offset <= session.state.start_offset()) return Given::kElsewhere;
  delivery->reached = true;
  return Given::kBefore;
}

void Deliverer::Release(Session& session, UnackedPacket& packet) {
  if (packet.holds) {
    session.user->shard->window.Release(packet.offset);
    packet.holds = false;
  }
}

void Deliverer::Acknowledge(Session& session, std::uint64_t seq) {
  seq = std::min(seq, session.last_seq);
  if (seq <= session.acked_seq) return;
  std::vector<std::uint64_t> offline_ids;
  std::uint64_t stored_up_to = 0;
  while (!session.unacked.empty() && session.unacked.front().seq <= seq) {
    UnackedPacket& packet = session.unacked.front();
    Release(session, packet);
    if (packet.stored_id != 0) offline_ids.push_back(packet.stored_id);
    if (packet.stored) stored_up_to = packet.seq;
    if (packet.delivery) {
      packet.delivery->reached = true;
      session.unacked_bytes -=
          std::min(session.unacked_bytes, packet.delivery->stanza.payload().size() + 200);
    }
    session.unacked.pop_front();
  }
  session.acked_seq = seq;
  if (!offline_ids.empty()) core_.offline().MarkGiven(session, std::move(offline_ids));
  if (stored_up_to > 0) {
    core_.tasks().Spawn("packets.remove",
                        [](Core& core, std::string owner, std::string id, std::uint64_t up_to) -> Task<void> {
                          // A row that outlives its packet is removed with its session.
                          (void)co_await core.ports().waiting.RemovePackets(std::move(owner), std::move(id),
                                                                            up_to);
                        }(core_, session.user->bare, session.id.str(), stored_up_to));
  }
}

bool Deliverer::Resend(Session& session, std::uint64_t after_seq) {
  for (const UnackedPacket& packet : session.unacked)
    if (packet.seq > after_seq && packet.delivery == nullptr) return false;
  if (session.gateway == nullptr) return true;
  const Shard& shard = *session.user->shard;
  for (UnackedPacket& unacked : session.unacked) {
    if (unacked.seq <= after_seq) continue;
    unacked.since = core_.clock().Now();
    session::v1::SessionManagerAction& action = session.gateway->Add();
    action.set_shard(shard.number);
    action.set_epoch(shard.epoch);
    FillPacket(*action.mutable_packet(), *unacked.delivery);
    auto& target = *action.mutable_packet()->add_targets();
    target.set_session_id(session.id.view().data(), SessionId::kSize);
    target.set_seq(unacked.seq);
    core_.metrics().stanzas_resent.Increment();
  }
  return true;
}

// ---- messages ---------------------------------------------------------------

void Deliverer::CopyToOthers(User& user, const std::vector<Session*>& sessions, const Delivery& message,
                             bool recovering) {
  if (message.stanza.type() != "error") {
    if (!user.copied) user.copied = std::make_unique<CopiedMessages>();
    user.copied->Add(message.stanza.id(), xmpp::BareOf(message.stanza.from()));
  }
  auto copy = std::make_shared<Delivery>();
  copy->stanza = MakeCarbon("received", message.stanza, user.bare);
  copy->offset = message.offset;
  copy->received_at_ms = message.received_at_ms;
  copy->trace_id = message.trace_id;
  copy->to_each = true;
  for (Session* session : sessions) GiveRecord(*session, copy, /*primary=*/false, recovering);
}

void Deliverer::RouteMessage(User& user, const std::shared_ptr<Delivery>& message, bool recovering) {
  const std::string_view resource = xmpp::ResourceOf(message->stanza.to());
  // An error is copied where the message that it answers was (XEP-0280 section 6.1).
  const bool answers_copied =
      user.copied && message->stanza.type() == "error" &&
      user.copied->Contains(message->stanza.id(), xmpp::BareOf(message->stanza.from()));
  const auto route =
      session_manager::RouteMessage(message->stanza, resource, CandidatesOf(user), answers_copied);
  if (recovering) FindGiven(user, message, route.copies);
  if (!route.copies.empty()) {
    std::vector<Session*> copies;
    for (std::size_t i : route.copies) copies.push_back(user.sessions[i].get());
    CopyToOthers(user, copies, *message, recovering);
  }
  switch (route.fate) {
    case MessageFate::kIgnore:
      return;
    case MessageFate::kBounce:
      Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
      return;
    case MessageFate::kStore:
      if (recovering) {
        RouteRecovered(user, message, {}, /*to_account=*/true);
      } else {
        StoreOrBounce(user, message);
      }
      return;
    case MessageFate::kDeliver:
      break;
  }
  if (recovering) {
    const bool matches = !resource.empty() && user.FindResource(resource) != nullptr;
    RouteRecovered(user, message, route.targets, /*to_account=*/!matches);
    return;
  }
  std::vector<Session*> targets;
  for (std::size_t i : route.targets) targets.push_back(user.sessions[i].get());
  GiveAll(targets, message, /*primary=*/true);
}

void Deliverer::FindGiven(User& user, const std::shared_ptr<Delivery>& message,
                          const std::vector<std::size_t>& copies) {
  // An earlier owner may have chosen otherwise: what it gave keeps its number on the session.
  for (std::size_t i = 0; i < user.sessions.size(); ++i) {
    if (std::find(copies.begin(), copies.end(), i) != copies.end()) continue;
    Session& session = *user.sessions[i];
    const bool is_given =
        std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
          return packet.offset == message->offset && packet.delivery == nullptr;
        });
    if (is_given) GiveRecord(session, message, /*primary=*/true, /*recovering=*/true);
  }
}

void Deliverer::StoreOrBounce(User& user, const std::shared_ptr<Delivery>& message) {
  if (IsStorable(message->stanza)) {
    core_.offline().Store(user, message);
  } else if (xmpp::Has(message->stanza, common::v1::STANZA_TRAIT_BODY)) {
    Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
  }
}

void Deliverer::RouteRecovered(User& user, const std::shared_ptr<Delivery>& message,
                               const std::vector<std::size_t>& targets, bool to_account) {
  const std::int64_t offset = message->offset;
  bool given = false;
  for (const auto& session : user.sessions) {
    for (const UnackedPacket& packet : session->unacked) {
      if (packet.offset != offset) continue;
      if (packet.stored_id != 0) return;  // from the store
      given = given || packet.primary;
    }
  }
  for (std::size_t i : targets) {
    Session& session = *user.sessions[i];
    // What went to the store while it was not available is given from there.
    if (to_account && IsPassedOver(session, offset)) continue;
    given = GiveRecord(session, message, /*primary=*/true, /*recovering=*/true) != Given::kElsewhere || given;
  }
  if (given || message->open_targets > 0 || message->reached) return;
  const MessageType type = ParseMessageType(message->stanza.type());
  if (type == MessageType::kHeadline || type == MessageType::kError) return;
  // A session that was there, and was not passed over, was given newer records than this one:
  // the message went to one of the user's sessions then, and its client has it.
  const bool handled =
      to_account && std::any_of(user.sessions.begin(), user.sessions.end(), [&](const auto& s) {
        return s->state.start_offset() < offset && offset <= s->last_offset && !IsPassedOver(*s, offset);
      });
  if (handled) return;
  // Either an earlier owner has stored or bounced it, then doing so again changes nothing; or it
  // died before it could.
  StoreOrBounce(user, message);
  core_.offline().GiveSoon(user);
}

void Deliverer::Abandon(User& user, Session& session) {
  UnackedQueue packets = std::exchange(session.unacked, {});
  bool waits = false;
  for (UnackedPacket& packet : packets) {
    waits = waits || packet.stored_id != 0;  // its row stays until somebody has it
    session.has_rows = session.has_rows || packet.stored;
    if (packet.delivery && packet.primary) {
      const std::shared_ptr<Delivery>& delivery = packet.delivery;
      if (delivery->open_targets > 0) --delivery->open_targets;
      if (!delivery->reached && delivery->open_targets == 0) {
        const xmpp::Stanza& stanza = delivery->stanza;
        if (stanza.kind() == STANZA_KIND_MESSAGE) {
          core_.metrics().rerouted.Increment();
          if (delivery->stored_id != 0) {
            // As above.
          } else if (IsStorable(stanza)) {
            // Stored before it is given to another session (XEP-0198 section 5): should we die in
            // between, nobody could tell which of its records that session has not been given.
            core_.offline().StoreEnded(user, session, delivery);
            waits = true;
          } else {
            RouteUnstored(user, *delivery);
          }
        } else if (stanza.kind() == STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set")) {
          Bounce(*user.shard, *delivery, xmpp::ErrorCondition::kServiceUnavailable);
        }
      }
    }
    if (packet.holds) user.shard->window.Release(packet.offset);
  }
  if (waits) core_.offline().GiveSoon(user);
}

void Deliverer::RouteUnstored(User& user, const Delivery& message) {
  const MessageType type = ParseMessageType(message.stanza.type());
  if (type == MessageType::kHeadline || type == MessageType::kError) return;
  if (!xmpp::Has(message.stanza, common::v1::STANZA_TRAIT_BODY)) return;  // a chat state of then
  const bool to_account = type == MessageType::kChat || type == MessageType::kNormal;
  const auto route =
      session_manager::RouteMessage(message.stanza, to_account ? "" : xmpp::ResourceOf(message.stanza.to()),
                                    CandidatesOf(user), /*answers_copied=*/false);
  if (route.fate != MessageFate::kDeliver) {
    Bounce(*user.shard, message, xmpp::ErrorCondition::kServiceUnavailable);
    return;
  }
  auto late = std::make_shared<Delivery>();
  late->stanza = message.stanza;
  late->offset = message.offset;
  late->received_at_ms = message.received_at_ms;
  late->trace_id = message.trace_id;
  AddDelay(late->stanza, xmpp::DomainOf(user.bare), message.received_at_ms);
  std::vector<Session*> targets;
  for (std::size_t i : route.targets) targets.push_back(user.sessions[i].get());
  GiveAll(targets, late, /*primary=*/true);
}

void Deliverer::Bounce(Shard& shard, const Delivery& delivery, xmpp::ErrorCondition condition,
                       std::string_view text) {
  const xmpp::Stanza& stanza = delivery.stanza;
  if (stanza.type() == "error" || stanza.type() == "result" || stanza.from().empty()) return;
  // Carbon copies and headlines never come back to anybody.
  if (xmpp::Has(stanza, common::v1::STANZA_TRAIT_CARBON)) return;
  core_.metrics().bounced.Increment();
  Cause cause;
  cause.offset = delivery.offset;
  cause.trace_id = delivery.trace_id;
  core_.AppendDelivery(shard, cause, xmpp::MakeError(stanza, condition, text));
}

Task<void> Deliverer::GiveOfflineMessages(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  return core_.offline().Give(std::move(shard), std::move(session));
}

// ---- the window -------------------------------------------------------------

void Deliverer::StoreOldPackets(Shard& shard) {
  const SteadyTime before = core_.clock().Now() - core_.settings().window_time;
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      if (session->unacked.empty() || session->park_in_flight) continue;
      const bool due =
          std::any_of(session->unacked.begin(), session->unacked.end(), [&](const UnackedPacket& packet) {
            return packet.holds && packet.delivery && packet.since < before;
          });
      if (!due) continue;
      session->park_in_flight = true;
      core_.tasks().Spawn("packets.store", StorePacketsTask(core_.SharedShard(shard.number), session, bare));
    }
  }
}

Task<void> Deliverer::StorePacketsTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                       std::string bare) {
  // Oldest first and without a gap: a later owner appends what it reads from the log
  // after what it finds in the store.
  std::vector<WaitingStore::SessionPacket> rows;
  for (const UnackedPacket& packet : session->unacked) {
    if (packet.stored || packet.delivery == nullptr) continue;
    WaitingStore::SessionPacket row;
    row.seq = packet.seq;
    row.offset = packet.offset;
    row.offline_id = packet.stored_id;
    row.primary = packet.primary;
    row.to_each = packet.delivery->to_each;
    row.received_at_ms = packet.delivery->received_at_ms;
    row.stanza = packet.delivery->stanza;
    rows.push_back(std::move(row));
    if (rows.size() == 500) break;
  }
  if (rows.empty()) {
    session->park_in_flight = false;
    co_return;
  }
  const std::uint64_t up_to = rows.back().seq;
  const auto count = rows.size();
  session->has_rows = true;
  const absl::Status stored =
      co_await core_.ports().waiting.StorePackets(shard->number, bare, session->id.str(), std::move(rows));
  session->park_in_flight = false;
  if (shard->released() || session->ended) co_return;
  if (!stored.ok()) {
    // The next sweep tries again; until then the log keeps them.
    telemetry::LogWarn("packets.store_failed", {{"error", Message(stored)}});
    co_return;
  }
  core_.metrics().stored_for_session.Increment(static_cast<double>(count));
  for (UnackedPacket& packet : session->unacked) {
    if (packet.seq > up_to) break;
    if (packet.delivery == nullptr) continue;
    packet.stored = true;
    Release(*session, packet);
  }
  if (session->acked_seq >= up_to) {
    // Acknowledged while it was being stored.
    (void)co_await core_.ports().waiting.RemovePackets(bare, session->id.str(), up_to);
  }
}

}  // namespace rookery::session_manager
