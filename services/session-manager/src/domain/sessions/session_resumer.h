#pragma once

#include <memory>
#include <string>

#include "domain/core.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

/// XEP-0198 resumption: a client comes back on any gateway and goes on with its session.
class SessionResumer {
 public:
  explicit SessionResumer(Core& core) : core_(core) {}

  void Resume(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  /// What an attempt to resume the session may have waited for has happened.
  void TryAgain(const std::shared_ptr<Session>& session);
  /// The attempt has waited for long enough.
  void GiveUp(const std::shared_ptr<Session>& session);

 private:
  void Wait(Session& session, const GatewayPeer& gateway, const session::v1::GatewayAction& action,
            SteadyTime limit);
  void Refuse(GatewayPeer& gateway, const session::v1::GatewayAction& action, const Shard& shard);
  void Finish(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
              const session::v1::SessionResume& request);
  Task<void> LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, std::string gateway);

  Core& core_;
};

}  // namespace rookery::session_manager
