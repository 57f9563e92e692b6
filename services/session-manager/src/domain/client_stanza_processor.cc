#include "domain/client_stanza_processor.h"

#include "domain/caps_tracker.h"
#include "domain/delivery/carbons.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/message_routing.h"
#include "domain/presence_tracker.h"
#include "domain/session_keeper.h"
#include "domain/stamps.h"
#include "domain/subscription_handler.h"
#include "modules/iq_router.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using xmpp::ErrorCondition;

void ClientStanzaProcessor::Refuse(Session& session, const xmpp::Stanza& stanza, ErrorCondition condition,
                                   std::string_view text) {
  if (stanza.type() == "error" || (stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "result"))
    return;
  core_.metrics().bounced.Increment();
  core_.deliverer().Reply(session, xmpp::MakeError(stanza, condition, text));
}

void ClientStanzaProcessor::Process(const std::shared_ptr<Session>& session,
                                    session::v1::ClientStanza& client) {
  Cause cause;
  cause.session = session;
  cause.count = client.count();
  cause.trace_id = client.trace_id();
  xmpp::Stanza& stanza = *client.mutable_stanza();
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("stanza.from_client", {{"trace_id", telemetry::TraceId(client.trace_id())},
                                               {"user", telemetry::HashedJid(session->user->bare)},
                                               {"count", client.count()}});
  // Whatever the gateway stamped, nobody speaks as another.
  stanza.set_from(std::string(session->jid.str()));
  const auto is_ours = [this](std::string_view domain) {
    return core_.IsLocalDomain(domain) || core_.LocalService(domain);
  };
  if (client.to_malformed()) {
    Refuse(*session, stanza,
           xmpp::ParseErrorCondition(client.refused()).value_or(ErrorCondition::kJidMalformed));
  } else {
    switch (stanza.kind()) {
      case common::v1::STANZA_KIND_MESSAGE:
        RemoveForgedStamps(stanza, session->user->bare, is_ours);
        Message(session, cause, stanza);
        break;
      case common::v1::STANZA_KIND_PRESENCE:
        RemoveForgedStamps(stanza, session->user->bare, is_ours);
        Presence(session, cause, stanza);
        break;
      case common::v1::STANZA_KIND_IQ:
        Iq(session, cause, stanza);
        break;
      default:
        break;
    }
  }
  core_.sessions().FinishInbound(session, client.count());
}

void ClientStanzaProcessor::RunInTurn(const std::shared_ptr<Session>& session, Cause cause,
                                      std::function<Task<void>(Cause&)> work) {
  session->inbound_busy = true;
  session->inbound.Open(cause.count);
  core_.TakeTurn(*session->user, [this, session, cause, work = std::move(work)]() -> Task<void> {
    return TurnTask(session, cause, work);
  });
}

Task<void> ClientStanzaProcessor::TurnTask(std::shared_ptr<Session> session, Cause cause,
                                           std::function<Task<void>(Cause&)> work) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(session->user->shard->number);
  if (!session->ended) co_await work(cause);
  if (shard->released()) co_return;
  core_.sessions().FinishInbound(session, cause.count);
  core_.sessions().NextInbound(session);
}

bool ClientStanzaProcessor::CheckReachable(Session& session, const xmpp::Stanza& stanza) {
  const std::string_view domain = xmpp::DomainOf(stanza.to());
  if (core_.IsLocalDomain(domain)) return true;
  Refuse(session, stanza,
         core_.LocalService(domain) ? ErrorCondition::kServiceUnavailable
                                    : ErrorCondition::kRemoteServerNotFound);
  return false;
}

void ClientStanzaProcessor::Message(const std::shared_ptr<Session>& session, Cause& cause,
                                    xmpp::Stanza& message) {
  User& user = *session->user;
  // RFC 6121 section 8.1.1.1: without `to` it is for the sender's own account.
  if (message.to().empty()) message.set_to(user.bare);
  if (!CheckReachable(*session, message)) return;
  const std::string_view bare = xmpp::BareOf(message.to());
  if (bare == xmpp::DomainOf(message.to())) {
    // To the server itself: nobody reads there (RFC 6121 section 8.4).
    Refuse(*session, message, ErrorCondition::kServiceUnavailable);
    return;
  }
  // What one sends to oneself arrives, and is archived, once.
  const bool is_eligible =
      user.sessions.size() > 1 &&
      (IsCarbonEligible(message, /*sent=*/true) ||
       (message.type() == "error" && user.copied && user.copied->Contains(message.id(), bare)));
  const bool copied_to_others =
      is_eligible && std::any_of(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
        return other != session && other->state.carbons();
      });
  const bool copy = bare != user.bare && (copied_to_others || IsArchivable(message));
  xmpp::Stanza copied;
  if (copy) copied = message;
  core_.AppendDelivery(*user.shard, cause, std::move(message));
  if (copy) {
    events::v1::UserRecord record;
    record.mutable_sent_copy()->mutable_stanza()->Swap(&copied);
    core_.AppendRecord(*user.shard, cause, user.shard->number, user.bare, std::move(record));
  }
}

void ClientStanzaProcessor::Presence(const std::shared_ptr<Session>& session, Cause& cause,
                                     xmpp::Stanza& presence) {
  const std::string& type = presence.type();
  const bool is_subscription =
      type == "subscribe" || type == "subscribed" || type == "unsubscribe" || type == "unsubscribed";
  if (!type.empty() && type != "unavailable" && type != "error" && type != "probe" && !is_subscription) {
    Refuse(*session, presence, ErrorCondition::kBadRequest, "unknown presence type");
    return;
  }
  if (presence.to().empty()) {
    if (type.empty() || type == "unavailable") {
      core_.presence().OnBroadcast(session, cause, presence);
    } else if (type != "error") {
      Refuse(*session, presence, ErrorCondition::kBadRequest, "this presence needs an address");
    }
    return;
  }
  if (!CheckReachable(*session, presence)) return;
  if (is_subscription) {
    core_.subscriptions().OnOutbound(session, cause, presence);
    return;
  }
  const std::string_view bare = xmpp::BareOf(presence.to());
  if (bare == xmpp::DomainOf(presence.to())) return;  // the server has no use for it
  if (type.empty() || type == "unavailable") {
    core_.presence().OnDirected(session, cause, presence);
    return;
  }
  if (type == "probe") presence.set_to(std::string(bare));
  core_.AppendDelivery(*session->user->shard, cause, std::move(presence));
}

void ClientStanzaProcessor::Iq(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& iq) {
  const std::string& type = iq.type();
  const bool is_request = type == "get" || type == "set";
  if (!is_request && type != "result" && type != "error") {
    Refuse(*session, iq, ErrorCondition::kBadRequest, "unknown IQ type");
    return;
  }
  if (iq.id().empty() || (is_request && iq.payload_name().empty())) {
    // RFC 6120 section 8.2.3: an id, and exactly one child in a request.
    Refuse(*session, iq, ErrorCondition::kBadRequest);
    return;
  }
  const std::string_view bare =
      iq.to().empty() ? std::string_view(session->user->bare) : xmpp::BareOf(iq.to());
  const bool to_self = bare == session->user->bare && xmpp::ResourceOf(iq.to()).empty();
  const bool to_server = !iq.to().empty() && bare == xmpp::DomainOf(iq.to()) &&
                         (core_.IsLocalDomain(bare) || core_.LocalService(bare));
  if (to_self || to_server) {
    if (is_request) {
      core_.iqs().OnClientRequest(session, cause, std::move(iq));
    } else if (to_self) {
      core_.caps().OnAnswer(*session, iq);
    }
    return;
  }
  if (!CheckReachable(*session, iq)) return;
  core_.AppendDelivery(*session->user->shard, cause, std::move(iq));
}

}  // namespace rookery::session_manager
