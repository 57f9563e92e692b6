#pragma once

#include <memory>
#include <string>

#include "ports/gateway_peer.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

struct Session;
struct Shard;
struct User;
struct WaitingAction;
class DirectoryWriter;
class Gateways;
class LiveSessions;
class Outbox;
class SessionEnds;
class SessionTable;
class Users;
struct SessionManagerMetrics;
struct Settings;

/// A client that has signed in begins a session (README.md, SL1, SL2 and SL15). I/O thread only.
class SessionStarter {
 public:
  SessionStarter(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                 const SessionTable& table, Users& users, Gateways& gateways, LiveSessions& live,
                 DirectoryWriter& directory, Outbox& outbox, SessionEnds& ends)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        table_(table),
        users_(users),
        gateways_(gateways),
        live_(live),
        directory_(directory),
        outbox_(outbox),
        ends_(ends) {}

  /// Starts the session and tells the gateway its full JID, or why there is none. Where an older session has
  /// that JID, it does so when the older one has ended. The shard is live, and the client is let in.
  void Start(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard);

 private:
  /// The gateway has not heard that the session has begun.
  void StartAgain(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard, Session& session);
  void Replace(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard, Session& old);
  void Begin(GatewayPeer& gateway, const WaitingAction& asked, User& user, const std::string& resource);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const SessionTable& table_;
  Users& users_;
  Gateways& gateways_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  Outbox& outbox_;
  SessionEnds& ends_;
};

}  // namespace rookery::session_manager
