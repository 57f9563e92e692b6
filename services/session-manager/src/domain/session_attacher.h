#pragma once

#include <memory>

#include "domain/core.h"
#include "domain/ended_sessions.h"
#include "domain/session_parker.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

/// Gateways bring their live sessions to a new owner of a shard, or back over a new link.
class SessionAttacher {
 public:
  SessionAttacher(Core& core, SessionParker& parker, const EndedSessions& ended)
      : core_(core), parker_(parker), ended_(ended) {}

  void Attach(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  /// The gateway has attached every session of the shard that it has.
  void AttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done);

 private:
  /// Back over a new link, to the owner that has it.
  void AttachAgain(GatewayPeer& gateway, const std::shared_ptr<Session>& session,
                   const session::v1::SessionAttach& attach);
  /// Gives the packets of a session that has just been adopted what is known of them, and adds
  /// those that its gateway was not given. False: some can only be read from the log again.
  bool Merge(Session& session, UnackedQueue& known);

  Core& core_;
  SessionParker& parker_;
  const EndedSessions& ended_;
};

}  // namespace rookery::session_manager
