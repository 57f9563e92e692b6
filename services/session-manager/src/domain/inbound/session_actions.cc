#include "domain/inbound/session_actions.h"

#include "domain/delivery/deliverer.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/metrics.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_resumer.h"
#include "domain/state/session_table.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;

void SessionActions::Do(GatewayPeer& gateway, GatewayAction& action,
                        const std::shared_ptr<Session>& session) {
  if (session->gateway != &gateway) {
    // Replaced or resumed elsewhere: over for this gateway.
    if (action.has_end()) AddAction(gateway, session->id, *session->user->shard).mutable_ended();
    return;
  }
  if (session->is_unheard) resumer_.OnHeard(session);
  switch (action.action_case()) {
    case GatewayAction::kEnd:
      End(session, action.end().reason());
      break;
    case GatewayAction::kStanza:
      TakeStanza(session, *action.mutable_stanza());
      break;
    case GatewayAction::kDelivered:
      deliverer_.OnDelivered(*session, action.delivered().seq());
      break;
    case GatewayAction::kStreamManagementEnable:
      EnableStreamManagement(session, action.stream_management_enable());
      break;
    default:
      break;
  }
}

// ---- what clients send ------------------------------------------------------------

void SessionActions::TakeStanza(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza) {
  if (session->ended() || session->has_failed) return;
  if (stanza.count() <= session->inbound.received()) {
    // Sent again after a new link: the confirmation was lost or is still to come.
    metrics_.stanzas_repeated.Increment();
    confirmations_.ConfirmLater(session);
    return;
  }
  if (stanza.count() != session->inbound.received() + 1) {
    // A gap can only come from a fault of ours: the stream cannot go on.
    telemetry::LogError("session.count_gap",
                        {{"expected", session->inbound.received() + 1}, {"got", stanza.count()}});
    ends_.End(session, "internal-server-error");
    return;
  }
  session->inbound.Receive();
  session->inbound.NoteSeenConfirmed(stanza.confirmed_count());
  if (IsAway(session->phase())) parker_.OnReceivedWhileAway(*session);
  metrics_.stanzas_received.Increment();
  client_stanzas_.Take(session, stanza);
}

void SessionActions::EnableStreamManagement(const std::shared_ptr<Session>& session,
                                            const session::v1::StreamManagementEnable& enable) {
  session->management = enable.resume() ? StreamManagement::kResumable : StreamManagement::kOn;
  session->base_seq = enable.base_seq();
  resumer_.TryAgain(session);
}

// ---- ends of connections ----------------------------------------------------------

void SessionActions::End(const std::shared_ptr<Session>& session, session::v1::EndReason reason) {
  if (IsEnding(session->phase())) return;
  if (reason == session::v1::END_REASON_CONNECTION_LOST && session->is_resumable() &&
      session->phase() != SessionPhase::kClosing) {
    if (!IsAway(session->phase()) || session->phase() == SessionPhase::kLinkLost) {
      live_.Enter(*session, SessionPhase::kAway);
      directory_.Changed(*session);
    }
    parker_.Park(session);
    return;
  }
  if (!session->inbound.is_all_confirmed()) {
    // Until the log has everything that the client sent before it closed, the gateway keeps it.
    if (session->phase() != SessionPhase::kClosing) live_.Enter(*session, SessionPhase::kClosing);
    return;
  }
  ends_.End(session, {});
}

void SessionActions::OnGatewayLost(const GatewayPeer& gateway) {
  while (const Session* lost = gateways_.AnyOf(gateway)) {
    const auto session = table_.Find(lost->id);
    gateways_.Assign(*session, nullptr);
    // The gateway may be alive and link again: a session without resumption has link_grace to be
    // attached again.
    if (session->phase() == SessionPhase::kConnected || session->phase() == SessionPhase::kResumed)
      live_.Enter(*session, SessionPhase::kLinkLost);
    directory_.Changed(*session);
    parker_.Park(session);
  }
}

// ---- what sessions have waited for ------------------------------------------------

void SessionActions::OnAllConfirmed(const std::shared_ptr<Session>& session) {
  if (session->phase() == SessionPhase::kClosing) {
    ends_.End(session, {});
    return;
  }
  parker_.Park(session);
  resumer_.TryAgain(session);
}

void SessionActions::OnRowTold(const std::shared_ptr<Session>& session) {
  if (session->ended() || session->row.misleads) return;
  confirmations_.ConfirmLater(session);
  resumer_.TryAgain(session);
}

// A gateway may have brought an older one, which the owner that has begun this one did not see.
void SessionActions::OnRestored(Session& session) { ends_.EndOlder(session); }

}  // namespace rookery::session_manager
