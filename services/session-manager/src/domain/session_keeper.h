#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "domain/core.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

/// Sessions from start to end: what gateways ask for over their links, the loss of a
/// connection or of a whole gateway, XEP-0198 resumption, and the attachment of live
/// sessions to a new owner of their shard.
class SessionKeeper {
 public:
  explicit SessionKeeper(Core& core) : core_(core) {}

  void OnGatewayLinked(GatewayPeer& gateway);
  /// The link is gone; so may be the gateway.
  void OnGatewayLost(GatewayPeer& gateway);
  /// One action of a gateway: done, kept until its shard is live, or answered `not_owner`.
  void OnAction(GatewayPeer& gateway, session::v1::GatewayAction action);
  /// The shard has gone live: does what waited for that.
  void RunWaiting(Shard& shard);
  const std::map<std::string, GatewayPeer*>& gateways() const { return gateways_; }

  /// One effect of a client's stanza is in the log.
  void FinishInbound(const std::shared_ptr<Session>& session, std::uint64_t count);
  /// The stanza being handled no longer holds back the next one of its session.
  void NextInbound(const std::shared_ptr<Session>& session);

  /// Ends a session and tells its gateway why (RFC 6120 section 4.9.3).
  void End(const std::shared_ptr<Session>& session, std::string_view condition, std::string_view text = {});
  /// Ends every session of the user, but `except`.
  void EndAll(User& user, std::string_view condition, const Session* except = nullptr);
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
  void Resume(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  void FinishResume(const std::shared_ptr<Session>& session, const std::string& gateway,
                    std::uint64_t attempt, std::uint32_t handled, std::uint32_t resumption);
  Task<void> LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, std::string gateway);
  void Attach(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  void AttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done);
  void OnEnd(GatewayPeer& gateway, const session::v1::GatewayAction& action);
  void OnStanza(GatewayPeer& gateway, session::v1::GatewayAction& action);
  Task<void> Create(std::string gateway, session::v1::AccountCreate request);
  Task<void> Delete(std::string gateway, session::v1::AccountDelete request);
  Task<void> LookUpCredentials(std::string gateway, session::v1::CredentialsLookup request);

  void Detach(const std::shared_ptr<Session>& session);
  void Remove(const std::shared_ptr<Session>& session);
  void Park(const std::shared_ptr<Session>& session);
  Task<void> ParkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  Task<void> RemoveStored(std::string owner, std::string id);
  void ConfirmLater(const std::shared_ptr<Session>& session);
  void SendConfirms();
  session::v1::SessionManagerAction& AddFor(Session& session);
  session::v1::SessionManagerAction& AddFor(GatewayPeer& gateway, const SessionId& id, const Shard& shard);
  GatewayPeer* FindGateway(const std::string& instance);
  /// The shard's number of the action's user, and whether it waits for a shard to be live.
  std::uint32_t ShardNumberFor(const session::v1::GatewayAction& action) const;
  void RefuseNotOwner(GatewayPeer& gateway, const session::v1::GatewayAction& action, std::uint32_t shard);

  Core& core_;
  std::map<std::string, GatewayPeer*> gateways_;
  std::vector<std::shared_ptr<Session>> to_confirm_;
  bool confirm_posted_ = false;
  /// How much arrived on sessions that have ended (XEP-0198 section 5, `h` of <failed/>).
  std::deque<std::pair<SessionId, std::pair<std::string, std::uint64_t>>> ended_;
};

}  // namespace rookery::session_manager
