#pragma once

#include <memory>

#include "domain/core.h"
#include "domain/sessions/session_parker.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

class SessionResumer;

/// Gateways bring their live sessions to a new owner of a shard, or back over a new link.
class SessionAttacher {
 public:
  SessionAttacher(Core& core, SessionParker& parker, SessionResumer& resumer)
      : core_(core), parker_(parker), resumer_(resumer) {}

  void Attach(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  /// The gateway has attached every session of the shard that it has.
  void AttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done);

 private:
  /// Back over a new link, to the owner that has it.
  void AttachAgain(GatewayPeer& gateway, const std::shared_ptr<Session>& session,
                   const session::v1::SessionAttach& attach);
  /// The phase of a session as its gateway brings it.
  void Arrive(Session& session, bool is_away);
  /// Gives the packets of a session that has just been adopted what is known of them, and adds
  /// those that its gateway was not given. False: some can only be read from the log again.
  bool Merge(Session& session, UnackedQueue& known);

  Core& core_;
  SessionParker& parker_;
  SessionResumer& resumer_;
};

}  // namespace rookery::session_manager
