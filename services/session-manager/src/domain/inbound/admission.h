#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "domain/accounts/credentials_version.h"
#include "domain/sessions/live_sessions.h"
#include "ports/gateway_peer.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class AccountActions;
class Gateways;
class SessionResumer;
class SessionStarter;
class Shards;

/// Lets clients start and resume sessions, once it is known that the account is the one that the client has
/// authenticated to, with the password that it has (README.md, AC2 and AC6). I/O thread only.
class Admission {
 public:
  Admission(const Shards& shards, Gateways& gateways, LiveSessions& live, AccountActions& accounts,
            SessionStarter& starter, SessionResumer& resumer)
      : shards_(shards),
        gateways_(gateways),
        live_(live),
        accounts_(accounts),
        starter_(starter),
        resumer_(resumer) {}
  /// Does what has to be asked about once more. Before the first action.
  void SetActions(LiveSessions::Actions& actions) { actions_ = &actions; }
  bool is_wired() const { return actions_ != nullptr; }

  /// Starts or resumes the session, or tells the gateway why not. Those of one account may be admitted in
  /// another order than they came in: whoever carries them out goes by their arrival. The shard is live.
  void Admit(GatewayPeer& gateway, WaitingAction&& asked, Shard& shard);
  /// Answers a start or a resumption. PERMISSION_DENIED: the client is not to have the session; anything
  /// else: it may try again.
  static void Refuse(GatewayPeer& gateway, const session::v1::GatewayAction& action, const Shard& shard,
                     const absl::Status& why);

 private:
  Task<void> AdmitIfCurrent(std::shared_ptr<Shard> shard, WaitingAction asked, Standing claim);
  /// The account is being removed, or was of late.
  bool IsBarred(const Shard& shard, const std::string& user, const Standing& claim) const;
  void Begin(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard);

  const Shards& shards_;
  Gateways& gateways_;
  LiveSessions& live_;
  AccountActions& accounts_;
  SessionStarter& starter_;
  SessionResumer& resumer_;
  LiveSessions::Actions* actions_ = nullptr;
};

}  // namespace rookery::session_manager
