#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "domain/account_actions.h"
#include "domain/core.h"
#include "domain/ended_sessions.h"
#include "domain/session_attacher.h"
#include "domain/session_parker.h"
#include "domain/session_resumer.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

/// Sessions from start to end: what gateways ask for over their links, what clients send in
/// its order, and the loss of a connection or of a whole gateway. Parking, attachment and
/// resumption have classes of their own.
class SessionKeeper {
 public:
  explicit SessionKeeper(Core& core)
      : core_(core),
        accounts_(core),
        parker_(core),
        attacher_(core, parker_, ended_),
        resumer_(core, parker_, ended_) {}

  void OnGatewayLinked(GatewayPeer& gateway);
  /// The link is gone; so may be the gateway.
  void OnGatewayLost(GatewayPeer& gateway);
  /// One action of a gateway: done, kept until its shard is live, or answered `not_owner`.
  void OnAction(GatewayPeer& gateway, session::v1::GatewayAction action);
  /// The shard has gone live: does what waited for that.
  void RunWaiting(Shard& shard);
  const std::map<std::string, GatewayPeer*>& gateways() const { return gateways_; }
  /// Null unless it is linked.
  GatewayPeer* FindGateway(const std::string& instance);

  /// One effect of a client's stanza is in the log.
  void FinishInbound(const std::shared_ptr<Session>& session, std::uint64_t count);
  /// The stanza being handled no longer holds back the next one of its session.
  void NextInbound(const std::shared_ptr<Session>& session);
  /// Says `confirmed` at the end of the loop's turn.
  void ConfirmLater(const std::shared_ptr<Session>& session);

  /// Ends a session and tells its gateway why (RFC 6120 section 4.9.3).
  void End(const std::shared_ptr<Session>& session, std::string_view condition, std::string_view text = {});
  /// Ends every session of the user, but `except`.
  void EndAll(User& user, std::string_view condition, const Session* except = nullptr);
  /// Forgets one whose place another snapshot of the same session takes: nothing follows from it.
  void Retire(const std::shared_ptr<Session>& session);
  /// Too much waits for the client (slow reader, long absence): soon ended.
  void EndOverflowing(Session& session);
  /// Tells the gateway the session's newest state.
  void PublishState(Session& session);

  /// A session from the store, at a change of owner.
  void Restore(Shard& shard, WaitingStore::ParkedSession parked);
  void RestorePacket(Shard& shard, WaitingStore::Shard::Packet row);
  /// Ends what has waited for too long; parks what must be parked.
  void Sweep(Shard& shard);
  /// Forgets the sessions of a shard that is no longer ours. Nobody is told anything.
  void Forget(Shard& shard);

 private:
  void Start(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  void OnEnd(GatewayPeer& gateway, const session::v1::GatewayAction& action);
  void OnStanza(GatewayPeer& gateway, session::v1::GatewayAction& action);

  void Detach(const std::shared_ptr<Session>& session);
  void Remove(const std::shared_ptr<Session>& session);
  void SendConfirms();
  /// What had to wait, unless its gateway is gone.
  void RunLate(WaitingAction waiting);
  /// The shard's number of the action's user, and whether it waits for a shard to be live.
  std::uint32_t ShardNumberFor(const session::v1::GatewayAction& action) const;
  void RefuseNotOwner(GatewayPeer& gateway, const session::v1::GatewayAction& action, std::uint32_t shard);

  Core& core_;
  EndedSessions ended_;
  AccountActions accounts_;
  SessionParker parker_;
  SessionAttacher attacher_;
  SessionResumer resumer_;
  std::map<std::string, GatewayPeer*> gateways_;
  std::vector<std::shared_ptr<Session>> to_confirm_;
  bool confirm_posted_ = false;
};

}  // namespace rookery::session_manager
