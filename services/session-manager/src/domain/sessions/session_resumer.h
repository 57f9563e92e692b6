#pragma once

#include <memory>
#include <string>

#include "ports/gateway_peer.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class HandOuts;
struct Session;
struct Shard;
struct WaitingAction;
class Deliverer;
class DirectoryWriter;
class FeatureHooks;
class Gateways;
class LiveSessions;
class SessionEnds;
class SessionTable;
class Shards;
struct SessionManagerMetrics;
struct Settings;

/// XEP-0198 resumption: a client comes back on any gateway and goes on with its session.
class SessionResumer {
 public:
  SessionResumer(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                 const Shards& shards, const SessionTable& table, const FeatureHooks& features,
                 Gateways& gateways, LiveSessions& live, DirectoryWriter& directory, HandOuts& hand_outs,
                 Deliverer& deliverer, SessionEnds& ends)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        shards_(shards),
        table_(table),
        features_(features),
        gateways_(gateways),
        live_(live),
        directory_(directory),
        hand_outs_(hand_outs),
        deliverer_(deliverer),
        ends_(ends) {}

  /// Resumes the session. If there are two attempts, the one that came later counts, whatever held up the
  /// other.
  void Resume(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard);
  /// The gateway to which the session's client has come says something of it, and so has it.
  void OnHeard(const std::shared_ptr<Session>& session);
  /// Something has happened that an attempt to resume the session may have waited for.
  void TryAgain(const std::shared_ptr<Session>& session);
  /// The attempt has waited for long enough.
  void GiveUp(const std::shared_ptr<Session>& session);
  /// A gateway has brought its sessions, or is expected no more, or time has passed: answers attempts to
  /// resume what nobody knew so far.
  void LookForUnknown(Shard& shard);

 private:
  /// Nobody knows the session, and a gateway that has not brought its sessions may.
  bool MayBeBrought(const session::v1::GatewayAction& action, const Shard& shard) const;
  void AwaitGateways(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard);
  void Wait(Session& session, const WaitingAction& asked, SteadyTime limit);
  void Refuse(GatewayPeer& gateway, const session::v1::GatewayAction& action, const Shard& shard);
  void Finish(const std::shared_ptr<Session>& session, GatewayPeer& gateway, const WaitingAction& asked);
  Task<void> LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, std::string gateway);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Shards& shards_;
  const SessionTable& table_;
  const FeatureHooks& features_;
  Gateways& gateways_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  HandOuts& hand_outs_;
  Deliverer& deliverer_;
  SessionEnds& ends_;
};

}  // namespace rookery::session_manager
