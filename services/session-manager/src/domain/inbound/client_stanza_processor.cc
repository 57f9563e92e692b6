#include "domain/inbound/client_stanza_processor.h"

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>

#include "domain/addresses.h"
#include "domain/delivery/carbons.h"
#include "domain/delivery/client_answers.h"
#include "domain/delivery/message_routing.h"
#include "domain/delivery/stamps.h"
#include "domain/features/feature_hooks.h"
#include "domain/inbound/iq_router.h"
#include "domain/metrics.h"
#include "domain/outbound/confirmations.h"
#include "domain/outbound/consequences.h"
#include "domain/presence/caps_tracker.h"
#include "domain/presence/presence_tracker.h"
#include "domain/records/record_order.h"
#include "domain/roster/subscription_handler.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/lent_stanza.h"

namespace rookery::session_manager {

using xmpp::ErrorCondition;

namespace {

/// Whether something of the user's clients for the address is on its way through the log.
bool IsUnderWay(const User& user, std::string_view address) {
  if (user.outbound) {
    const auto route = user.outbound->find(address);
    if (route != user.outbound->end() &&
        (route->second.appending > 0 || route->second.newest >= user.shard->window.next_offset()))
      return true;
  }
  // RecordOrder knows of what has been read.
  return RecordOrder::IsSending(user, address);
}

}  // namespace

// ---- order --------------------------------------------------------------------

Errand ClientStanzaProcessor::ErrandOf(const Session& session, const xmpp::Stanza& stanza) const {
  User& user = *session.user;
  const std::string_view bare = xmpp::BareOf(stanza.to());
  const std::string_view to = bare.empty() ? std::string_view(user.bare) : bare;
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE && bare.empty()) return {Errand::Kind::kToMany, {}};
  const bool is_request =
      stanza.kind() == common::v1::STANZA_KIND_IQ && !addresses_.IsOfRooms(to) &&
      (to == xmpp::DomainOf(to) || (to == user.bare && xmpp::ResourceOf(stanza.to()).empty()));
  if (!is_request) return {Errand::Kind::kToUser, std::string(to)};
  const Hooks::Effect effect = iqs_.EffectOf(stanza);
  if (effect == Hooks::Effect::kSecret)
    return {.kind = Errand::Kind::kQuestion, .to = std::string(to), .is_secret = true};
  const bool is_behind_change =
      IsUnderWay(user, to) || (session.inbound_order && session.inbound_order->HasChangeTo(to));
  const bool is_change = is_behind_change || effect != Hooks::Effect::kNone;
  return {is_change ? Errand::Kind::kChange : Errand::Kind::kQuestion, std::string(to)};
}

std::optional<Errand> ClientStanzaProcessor::BehindWhatIsUnderWay(const Session& session,
                                                                  const xmpp::Stanza& stanza,
                                                                  const Errand* waited) const {
  User& user = *session.user;
  if (!user.outbound && !user.backlog) return std::nullopt;
  // A stanza that has waited as a question stays one: what came later may be in the log already. None of the
  // changes that are under way is its session's: behind one of those it would have been no question.
  std::optional<Errand> errand = waited != nullptr ? *waited : ErrandOf(session, stanza);
  // A stanza that may be in its recipient's log already goes that way, having waited.
  const bool is_for_log =
      errand->kind == Errand::Kind::kChange || (errand->kind == Errand::Kind::kToUser && !errand->is_resent);
  if (!is_for_log || !IsUnderWay(user, errand->to)) errand.reset();
  return errand;
}

bool ClientStanzaProcessor::HasToWait(User& user, const InboundOrder* order, const Errand& errand) const {
  // Presence to all contacts loads the settings itself.
  if (errand.kind == Errand::Kind::kToUser && !user_settings_.Know(user)) return true;
  const bool shuns_log = errand.is_secret || (errand.kind == Errand::Kind::kToUser && errand.is_resent);
  if (shuns_log && IsUnderWay(user, errand.to)) return true;
  return order != nullptr && order->HasToWait(errand);
}

void ClientStanzaProcessor::Take(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza) {
  User& user = *session->user;
  const bool is_resent = stanza.count() <= session->resent_up_to;
  if (is_resent && live_.LoggedOf(*user.shard).Contains(session->id, stanza.count())) {
    confirmations_.Finish(session, stanza.count());
    return;
  }
  if (session->inbound_order || !user.settings || is_resent || user.outbound || user.backlog) {
    Errand errand = ErrandOf(*session, stanza.stanza());
    errand.is_resent = is_resent;
    if (HasToWait(user, session->inbound_order.get(), errand)) {
      if (errand.is_secret)
        user.shard->Spawn("stanza.refuse_secret", RefuseUnlessHandled(session, stanza.count()));
      if (!session->inbound_order) session->inbound_order = std::make_unique<InboundOrder>();
      session->inbound_order->Wait(std::move(stanza), std::move(errand));
      return;
    }
    (void)Handle(session, stanza, &errand);
    return;
  }
  (void)Handle(session, stanza, /*known=*/nullptr);
}

void ClientStanzaProcessor::OnSettingsKnown(Shard& shard, const std::string& bare) { DrainAll(shard, bare); }

void ClientStanzaProcessor::DrainAll(Shard& shard, const std::string& bare) {
  const User* user = shard.FindUser(bare);
  if (user == nullptr) return;
  // Handling what waited may end sessions.
  const std::vector<std::shared_ptr<Session>> sessions = user->sessions;
  for (const auto& session : sessions) Drain(session);
}

void ClientStanzaProcessor::DrainSoon(const User& user) {
  const bool is_due = std::any_of(user.sessions.begin(), user.sessions.end(),
                                  [](const auto& session) { return session->inbound_order != nullptr; });
  if (!is_due) return;
  user.shard->Spawn("stanza.drain", DrainTask(shards_.Shared(user.shard->number), user.bare));
}

Task<void> ClientStanzaProcessor::DrainTask(std::shared_ptr<Shard> shard, std::string bare) {
  co_await runtime::Yield();
  DrainAll(*shard, bare);
}

void ClientStanzaProcessor::FinishLater(const std::shared_ptr<Session>& session, Cause cause, Errand errand,
                                        std::function<Task<void>(Cause&)> work) {
  if (!session->inbound_order) session->inbound_order = std::make_unique<InboundOrder>();
  session->inbound_order->Begin(cause.count, std::move(errand));
  session->inbound.Open(cause.count);
  session->user->shard->Spawn("stanza.handle", Run(session, cause, std::move(work)));
}

Task<void> ClientStanzaProcessor::Run(std::shared_ptr<Session> session, Cause cause,
                                      std::function<Task<void>(Cause&)> work) {
  if (!session->ended()) co_await work(cause);
  confirmations_.Finish(session, cause.count);
  if (!session->inbound_order) co_return;
  session->inbound_order->End(cause.count);
  Drain(session);
}

void ClientStanzaProcessor::Drain(const std::shared_ptr<Session>& session) {
  if (session->ended() || !session->inbound_order || std::exchange(session->inbound_order->is_draining, true))
    return;
  // Handling one may end the session.
  while (session->inbound_order && !session->ended()) {
    std::optional<InboundOrder::Waiting> next = session->inbound_order->TakeNext(
        [&](const Errand& errand) { return !HasToWait(*session->user, nullptr, errand); });
    if (!next) break;
    // Nothing more of a session whose state is not known.
    if (!Handle(session, next->stanza, &next->errand)) return;
  }
  if (!session->inbound_order) return;
  session->inbound_order->is_draining = false;
  if (session->inbound_order->empty()) session->inbound_order.reset();
}

Task<void> ClientStanzaProcessor::RefuseUnlessHandled(std::shared_ptr<Session> session, std::uint64_t count) {
  std::optional<InboundOrder::Waiting> late;
  while (!late) {
    co_await runtime::Sleep(RecordOrder::kSendingPatience);
    if (session->ended() || !session->inbound_order) co_return;
    const Errand* const errand = session->inbound_order->FindWaiting(count);
    if (errand == nullptr) co_return;
    if (IsUnderWay(*session->user, errand->to)) late = session->inbound_order->Take(count);
  }
  // Others may have waited for its answer.
  if (Handle(session, late->stanza, &late->errand)) Drain(session);
}

void ClientStanzaProcessor::SendThroughLog(const Sender& sender, Cause& cause, std::string_view address,
                                           xmpp::Stanza& stanza) {
  User& user = sender.user;
  // Sent again, it may be in the log.
  const bool is_new = sender.session && cause.count > sender.session->resent_up_to;
  const bool is_answered = IsSubscription(stanza.type()) || HasToBeAnswered(stanza);
  if (is_new && is_answered && RecordOrder::IsClogged(user, clock_.Now())) {
    answers_.Refuse(sender, cause, stanza, ErrorCondition::kResourceConstraint,
                    "too much waits for a roster");
    return;
  }
  if (!user.outbound)
    user.outbound =
        std::make_unique<std::unordered_map<std::string, OutboundRoute, StringHash, std::equal_to<>>>();
  OutboundRoute& route = (*user.outbound)[std::string(address)];
  // It is confirmed when it is read: behind the fence of another owner it counts for nobody (README.md, O4).
  const std::shared_ptr<Session> session = cause.session;
  if (session) session->inbound.Open(cause.count);
  events::v1::UserRecord record;
  const xmpp::LentStanza lent(*record.mutable_outbound(), stanza);
  if (sender.session)
    record.mutable_outbound()->set_account_generation(sender.session->state.account_generation());
  consequences_.AppendRecord(*user.shard, cause, user.shard->number, user.bare, record,
                             [this, shard = shards_.Shared(user.shard->number), bare = user.bare,
                              to = std::string(address), session, count = cause.count](std::int64_t offset) {
                               if (offset < 0 && session) confirmations_.Finish(session, count);
                               User* then = shard->released() ? nullptr : shard->FindUser(bare);
                               if (then == nullptr || !then->outbound) return;
                               const auto route = then->outbound->find(to);
                               if (route == then->outbound->end()) return;
                               --route->second.appending;
                               route->second.newest = std::max(route->second.newest, offset);
                               // It may have been read before the log has said that it is there.
                               if (offset < shard->window.next_offset()) DrainSoon(*then);
                             });
  ++route.appending;
}

// ---- stanzas ------------------------------------------------------------------

bool ClientStanzaProcessor::Handle(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza,
                                   const Errand* known) {
  try {
    Process(session, stanza, known);
    return true;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& failure) {
    // Sent again it would fail again: whoever else is in the shard need not stand still for that.
    metrics_.stanzas_failed.Increment();
    telemetry::LogError("stanza.failed", {{"trace_id", telemetry::TraceId(stanza.trace_id())},
                                          {"user", telemetry::HashedJid(session->jid.bare())},
                                          {"error", failure.what()}});
  }
  session->has_failed = true;
  ends_.End(session, "internal-server-error");
  return false;
}

void ClientStanzaProcessor::Process(const std::shared_ptr<Session>& session,
                                    session::v1::ClientStanza& client, const Errand* known) {
  Cause cause;
  cause.session = session;
  cause.count = client.count();
  cause.trace_id = client.trace_id();
  cause.account_generation = session->state.account_generation();
  xmpp::Stanza& stanza = *client.mutable_stanza();
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("stanza.from_client", {{"trace_id", telemetry::TraceId(client.trace_id())},
                                               {"user", telemetry::HashedJid(session->user->bare)},
                                               {"count", client.count()}});
  // Whatever the gateway stamped, nobody speaks as another.
  if (stanza.from() != session->jid.str()) stanza.set_from(std::string(session->jid.str()));
  const Sender sender{*session->user, session};
  const auto is_ours = [this](std::string_view domain) {
    return addresses_.IsLocal(domain) || addresses_.IsComponent(domain);
  };
  if (client.to_malformed()) {
    answers_.Refuse(sender, cause, stanza,
                    xmpp::ParseErrorCondition(client.refused()).value_or(ErrorCondition::kJidMalformed));
  } else {
    if (stanza.kind() != common::v1::STANZA_KIND_IQ) RemoveForgedStamps(stanza, sender.user.bare, is_ours);
    if (known != nullptr && known->is_secret && IsUnderWay(sender.user, known->to)) {
      answers_.Refuse(sender, cause, stanza, ErrorCondition::kResourceConstraint,
                      "what was sent before it takes too long");
    } else if (const auto errand = BehindWhatIsUnderWay(*session, stanza, known)) {
      SendThroughLog(sender, cause, errand->to, stanza);
    } else {
      switch (stanza.kind()) {
        case common::v1::STANZA_KIND_MESSAGE:
          Message(sender, cause, stanza);
          break;
        case common::v1::STANZA_KIND_PRESENCE:
          Presence(sender, cause, stanza);
          break;
        case common::v1::STANZA_KIND_IQ:
          Iq(sender, cause, stanza, nullptr);
          break;
        default:
          break;
      }
    }
  }
  confirmations_.Finish(session, client.count());
}

bool ClientStanzaProcessor::CameTooLate(const Shards& shards, const events::v1::UserRecord& record) {
  if (!record.has_outbound() || !record.origin().has_client()) return false;
  const Shard* const shard = shards.Find(record.origin().shard());
  return shard != nullptr && record.origin().epoch() < shard->read_epoch;
}

bool ClientStanzaProcessor::OnOutboundRead(const Shard& shard, const PendingRecord& pending) {
  const events::v1::Origin& origin = pending.record.origin();
  if (!origin.has_client()) return true;
  const SessionId id(origin.client().session_id());
  if (CameTooLate(shards_, pending.record)) return false;
  if (origin.epoch() < shard.epoch) {
    live_.LoggedOf(shard).Add(id, origin.client().count(), clock_.Now());
  } else if (const auto session = table_.Find(id)) {
    confirmations_.Finish(session, origin.client().count());
  }
  return true;
}

void ClientStanzaProcessor::Apply(User& user, PendingRecord& pending) {
  // The record is done now, unless it is finished later.
  DrainSoon(user);
  Cause cause = CauseOf(pending);
  cause.account_generation = pending.record.outbound().account_generation();
  xmpp::Stanza& stanza = *pending.record.mutable_outbound()->mutable_stanza();
  // Not one that has taken its name since.
  const Sender sender{user, table_.Find(SessionId(pending.record.origin().client().session_id()))};
  switch (stanza.kind()) {
    case common::v1::STANZA_KIND_MESSAGE:
      Message(sender, cause, stanza);
      break;
    case common::v1::STANZA_KIND_PRESENCE:
      if (!IsSubscription(stanza.type())) {
        Presence(sender, cause, stanza);
      } else if (!addresses_.IsOfRooms(stanza.to()) && LetLeave(sender, cause, stanza)) {
        subscriptions_.OnOutbound(sender, pending);
      }
      break;
    case common::v1::STANZA_KIND_IQ:
      Iq(sender, cause, stanza, &pending);
      break;
    default:
      break;
  }
}

void ClientStanzaProcessor::GiveUp(Shard& shard, PendingRecord& pending) {
  const xmpp::Stanza& stanza = pending.record.outbound().stanza();
  const auto session = table_.Find(SessionId(pending.record.origin().client().session_id()));
  const bool is_wordless =
      stanza.kind() == common::v1::STANZA_KIND_MESSAGE && !xmpp::Has(stanza, common::v1::STANZA_TRAIT_BODY);
  const bool is_answered = IsSubscription(stanza.type()) || (HasToBeAnswered(stanza) && !is_wordless);
  if (!is_answered || !session || session->user->shard != &shard) return;
  answers_.Refuse({*session->user, session}, CauseOf(pending), stanza, ErrorCondition::kInternalServerError);
}

bool ClientStanzaProcessor::RefuseUnreachable(const Sender& sender, const Cause& cause,
                                              const xmpp::Stanza& stanza) {
  const std::string_view domain = xmpp::DomainOf(stanza.to());
  if (addresses_.IsLocal(domain) || addresses_.IsRoomDomain(domain)) return false;
  answers_.Refuse(sender, cause, stanza,
                  addresses_.IsComponent(domain) ? ErrorCondition::kServiceUnavailable
                                                 : ErrorCondition::kRemoteServerNotFound);
  return true;
}

bool ClientStanzaProcessor::LetLeave(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza) {
  if (RefuseUnreachable(sender, cause, stanza)) return false;
  if (!sender.user.settings) return true;
  const std::optional<Veto> refusal = features_.FromClient(sender.user, stanza);
  if (!refusal) return true;
  const bool is_answer = stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "result";
  if (refusal->condition && stanza.type() != "error" && !is_answer) {
    metrics_.bounced.Increment();
    answers_.Answer(sender, cause, MakeRefusal(stanza, *refusal));
  }
  return false;
}

void ClientStanzaProcessor::Message(const Sender& sender, Cause& cause, xmpp::Stanza& message) {
  User& user = sender.user;
  // RFC 6121 section 8.1.1.1: without `to` it is for the sender's own account.
  if (message.to().empty()) message.set_to(user.bare);
  if (!LetLeave(sender, cause, message)) return;
  const std::string_view bare = xmpp::BareOf(message.to());
  if (bare == xmpp::DomainOf(message.to()) && !addresses_.IsRoomDomain(bare)) {
    // To the server itself: nobody reads there (RFC 6121 section 8.4).
    answers_.Refuse(sender, cause, message, ErrorCondition::kServiceUnavailable);
    return;
  }
  const CopiedMessages* const copied = user.features.Find<CopiedMessages>();
  // A message to oneself arrives, and is archived, once.
  const bool is_eligible =
      (user.sessions.size() > 1 || !sender.session) &&
      (IsCarbonEligible(message, /*sent=*/true) ||
       (message.type() == "error" && copied != nullptr && copied->Contains(message.id(), bare)));
  const bool copied_to_others =
      is_eligible && std::any_of(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
        return other != sender.session && other->state.carbons();
      });
  const bool copy = bare != user.bare && (copied_to_others || IsArchivable(message));
  consequences_.AppendDelivery(*user.shard, cause, message);
  if (copy) {
    events::v1::UserRecord record;
    const xmpp::LentStanza lent(*record.mutable_sent_copy(), message);
    consequences_.AppendRecord(*user.shard, cause, user.shard->number, user.bare, record);
  }
}

void ClientStanzaProcessor::Presence(const Sender& sender, Cause& cause, xmpp::Stanza& presence) {
  const std::string& type = presence.type();
  if (!type.empty() && type != "unavailable" && type != "error" && type != "probe" && !IsSubscription(type)) {
    answers_.Refuse(sender, cause, presence, ErrorCondition::kBadRequest, "unknown presence type");
    return;
  }
  if (presence.to().empty()) {
    if (type.empty() || type == "unavailable") {
      if (auto work = presence_.OnBroadcast(sender.session, cause, presence))
        FinishLater(sender.session, cause, {Errand::Kind::kToMany, {}}, std::move(work));
    } else if (type != "error") {
      answers_.Refuse(sender, cause, presence, ErrorCondition::kBadRequest, "this presence needs an address");
    }
    return;
  }
  const std::string_view bare = xmpp::BareOf(presence.to());
  const bool is_of_rooms = addresses_.IsOfRooms(bare);
  if (IsSubscription(type)) {
    // One enters a room, and nobody there could answer (XEP-0045, Presence Subscriptions).
    if (is_of_rooms) return;
    // Features judge it where the log has it (Apply).
    if (RefuseUnreachable(sender, cause, presence)) return;
    if (bare == sender.user.bare) return;  // one sees one's own presence anyway
    if (presence.payload().size() > SubscriptionHandler::kMaxBytes) {
      answers_.Refuse(sender, cause, presence, ErrorCondition::kPolicyViolation,
                      "too much for a subscription");
      return;
    }
    const std::string address(bare);
    SendThroughLog(sender, cause, address, presence);
    return;
  }
  if (!LetLeave(sender, cause, presence)) return;
  if (bare == xmpp::DomainOf(presence.to()) && !is_of_rooms) return;  // the server has no use for it
  if (type.empty() || type == "unavailable") {
    // The `unavailable` of a session that is gone has been told.
    if (sender.session && !sender.session->ended()) presence_.OnDirected(sender.session, cause, presence);
    return;
  }
  if (type == "probe" && !is_of_rooms) presence.set_to(std::string(bare));
  consequences_.AppendDelivery(*sender.user.shard, cause, presence);
}

void ClientStanzaProcessor::Iq(const Sender& sender, Cause& cause, xmpp::Stanza& iq, PendingRecord* pending) {
  const std::string& type = iq.type();
  const bool is_request = type == "get" || type == "set";
  if (!is_request && type != "result" && type != "error") {
    answers_.Refuse(sender, cause, iq, ErrorCondition::kBadRequest, "unknown IQ type");
    return;
  }
  if (iq.id().empty() || (is_request && iq.payload_name().empty())) {
    // RFC 6120 section 8.2.3: an id, and exactly one child in a request.
    answers_.Refuse(sender, cause, iq, ErrorCondition::kBadRequest);
    return;
  }
  const std::string_view bare = iq.to().empty() ? std::string_view(sender.user.bare) : xmpp::BareOf(iq.to());
  const bool to_self = bare == sender.user.bare && xmpp::ResourceOf(iq.to()).empty();
  const bool to_server = !iq.to().empty() && bare == xmpp::DomainOf(iq.to()) &&
                         (addresses_.IsLocal(bare) || addresses_.IsComponent(bare)) &&
                         !addresses_.IsRoomDomain(bare);
  if (to_self || to_server) {
    if (is_request && pending != nullptr) {
      iqs_.OnOutbound(sender, *pending);
    } else if (is_request) {
      Ask(sender, cause, std::move(iq));
    } else if (to_self && sender.session) {
      caps_.OnAnswer(*sender.session, iq);
    }
    return;
  }
  if (!LetLeave(sender, cause, iq)) return;
  consequences_.AppendDelivery(*sender.user.shard, cause, iq);
}

void ClientStanzaProcessor::Ask(const Sender& sender, Cause& cause, xmpp::Stanza iq) {
  const std::string address(iq.to().empty() ? sender.user.bare : xmpp::BareOf(iq.to()));
  IqRouter::Verdict verdict = iqs_.OnClientRequest(sender, cause, std::move(iq));
  if (verdict.change) {
    SendThroughLog(sender, cause, address, verdict.change->iq);
  } else if (verdict.answer) {
    FinishLater(sender.session, cause, {Errand::Kind::kQuestion, address}, std::move(verdict.answer));
  }
}

}  // namespace rookery::session_manager
