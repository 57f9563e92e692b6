#include "domain/sessions/session_starter.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "domain/metrics.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/outbound/outbox.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/users/users.h"
#include "rookery/base/random.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

void Refuse(GatewayPeer& gateway, const WaitingAction& asked, const Shard& shard,
            xmpp::ErrorCondition condition, std::string_view text) {
  SetFailure(
      *AddAction(gateway, SessionId(asked.action.session_id()), shard).mutable_started()->mutable_failure(),
      condition, text);
}

}  // namespace

void SessionStarter::Start(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard) {
  const SessionId id(asked.action.session_id());
  const auto& request = asked.action.start();
  if (const auto existing = table_.Find(id)) return StartAgain(gateway, asked, shard, *existing);
  // An action that was carried out before, whose session has ended since.
  if (live_.EndedOf(shard).IsOver(id, 0))
    return Refuse(gateway, asked, shard, xmpp::ErrorCondition::kConflict, "the session is over");
  User& user = shard.GetUser(request.user());
  if (static_cast<std::int64_t>(user.sessions.size()) >= settings_.max_sessions_per_user &&
      (request.resource().empty() || user.FindResource(request.resource()) == nullptr)) {
    Refuse(gateway, asked, shard, xmpp::ErrorCondition::kResourceConstraint, "too many sessions");
    users_.MaybeForget(user);
    return;
  }
  if (request.resource().empty()) {
    Begin(gateway, asked, user, RandomToken(9));
  } else if (Session* const old = user.FindResource(request.resource())) {
    Replace(gateway, asked, shard, *old);
  } else {
    Begin(gateway, asked, user, request.resource());
  }
}

void SessionStarter::StartAgain(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard,
                                Session& session) {
  if (session.user->bare != asked.action.start().user())
    return Refuse(gateway, asked, shard, xmpp::ErrorCondition::kConflict, "the session's name is taken");
  // Sent again after a broken link: the answer was lost.
  gateways_.Assign(session, &gateway);
  if (IsAway(session.phase())) live_.Enter(session, SessionPhase::kConnected);
  directory_.Changed(session);
  AddAction(session).mutable_started()->set_full_jid(std::string(session.jid.str()));
  outbox_.SendState(session);
}

// RFC 6120 section 7.7.2.2: the newer wins. It begins when the older one has ended; all that the client of a
// session that is closed in order has sent there is applied before.
void SessionStarter::Replace(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard, Session& old) {
  if (old.arrival > asked.arrival) {
    Refuse(gateway, asked, shard, xmpp::ErrorCondition::kConflict, "replaced by a newer session");
  } else if (!live_.RunAfterEnd(old, asked)) {
    Refuse(gateway, asked, shard, xmpp::ErrorCondition::kResourceConstraint,
           "too many sessions of this name");
  } else if (old.phase() != SessionPhase::kClosing) {
    ends_.End(table_.Find(old.id), "conflict", "replaced by a new session");
  }
}

void SessionStarter::Begin(GatewayPeer& gateway, const WaitingAction& asked, User& user,
                           const std::string& resource) {
  const auto& request = asked.action.start();
  auto session = std::make_shared<Session>();
  session->id = SessionId(asked.action.session_id());
  session->arrival = asked.arrival;
  session->jid = xmpp::Jid::FromTrusted(request.user() + "/" + resource);
  session->state.set_started_at_ms(clock_.UnixMillisNow());
  session->state.set_start_offset(user.shard->window.next_offset() - 1);
  session->state.set_account_generation(request.account_generation());
  session->state.set_credentials_version(request.credentials_version());
  session->last_offset = session->state.start_offset();
  live_.Add(user, session);
  gateways_.Assign(*session, &gateway);
  directory_.Changed(*session);
  metrics_.sessions_started.Increment();
  AddAction(*session).mutable_started()->set_full_jid(std::string(session->jid.str()));
  outbox_.SendState(*session);
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("session.started",
                        {{"user", telemetry::HashedJid(user.bare)}, {"shard", user.shard->number}});
}

}  // namespace rookery::session_manager
