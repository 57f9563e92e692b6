#pragma once

#include <memory>

#include "domain/outbound/confirmations.h"
#include "domain/sessions/session_parker.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

class ClientStanzaProcessor;
class Deliverer;
class DirectoryWriter;
class Gateways;
class LiveSessions;
class SessionEnds;
class SessionResumer;
class SessionTable;
struct SessionManagerMetrics;

/// Does what gateways say of sessions that are known, what follows from the loss of a session's connection,
/// and what sessions have waited for. The rules are in README.md, "The life of a session". I/O thread only.
class SessionActions final : public Confirmations::Listener, public SessionParker::Listener {
 public:
  SessionActions(SessionManagerMetrics& metrics, const SessionTable& table, Gateways& gateways,
                 LiveSessions& live, Confirmations& confirmations, DirectoryWriter& directory,
                 Deliverer& deliverer, ClientStanzaProcessor& client_stanzas, SessionParker& parker,
                 SessionEnds& ends, SessionResumer& resumer)
      : metrics_(metrics),
        table_(table),
        gateways_(gateways),
        live_(live),
        confirmations_(confirmations),
        directory_(directory),
        deliverer_(deliverer),
        client_stanzas_(client_stanzas),
        parker_(parker),
        ends_(ends),
        resumer_(resumer) {}

  /// A stanza, an acknowledgement, the start of XEP-0198 or an end. Anything else does nothing, nor does most
  /// of what a gateway says that the session has left. Takes the stanza out of the action.
  void Do(GatewayPeer& gateway, session::v1::GatewayAction& action, const std::shared_ptr<Session>& session);
  /// The link is gone, and every session of the gateway without a connection.
  void OnGatewayLost(const GatewayPeer& gateway);
  void OnAllConfirmed(const std::shared_ptr<Session>& session) override;
  void OnRowTold(const std::shared_ptr<Session>& session) override;
  void OnRestored(Session& session) override;

 private:
  void TakeStanza(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza);
  void EnableStreamManagement(const std::shared_ptr<Session>& session,
                              const session::v1::StreamManagementEnable& enable);
  void End(const std::shared_ptr<Session>& session, session::v1::EndReason reason);

  SessionManagerMetrics& metrics_;
  const SessionTable& table_;
  Gateways& gateways_;
  LiveSessions& live_;
  Confirmations& confirmations_;
  DirectoryWriter& directory_;
  Deliverer& deliverer_;
  ClientStanzaProcessor& client_stanzas_;
  SessionParker& parker_;
  SessionEnds& ends_;
  SessionResumer& resumer_;
};

}  // namespace rookery::session_manager
