#pragma once

#include <memory>
#include <string>

#include "domain/core.h"
#include "domain/ended_sessions.h"
#include "domain/session_parker.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

/// XEP-0198 resumption: a client comes back on any gateway and goes on with its session.
class SessionResumer {
 public:
  SessionResumer(Core& core, SessionParker& parker, const EndedSessions& ended)
      : core_(core), parker_(parker), ended_(ended) {}

  void Resume(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);

 private:
  Task<void> AwaitEnable(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, std::string gateway,
                         session::v1::GatewayAction action);
  void Answer(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  void FinishResume(const std::shared_ptr<Session>& session, const std::string& gateway,
                    std::uint64_t attempt, std::uint32_t handled, std::uint32_t number);
  Task<void> LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, std::string gateway);

  Core& core_;
  SessionParker& parker_;
  const EndedSessions& ended_;
};

}  // namespace rookery::session_manager
