#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "domain/accounts/account_actions.h"
#include "domain/core.h"
#include "domain/sessions/ended_sessions.h"
#include "domain/sessions/session_attacher.h"
#include "domain/sessions/session_parker.h"
#include "domain/sessions/session_resumer.h"
#include "ports/gateway_peer.h"
#include "rookery/runtime/event.h"

namespace rookery::session_manager {

/// Sessions from start to end: what gateways ask for over their links, what clients send in
/// its order, and the loss of a connection or of a whole gateway. Parking, attachment and
/// resumption have classes of their own. The rules are in README.md, "The life of a session".
class SessionKeeper {
 public:
  explicit SessionKeeper(Core& core)
      : core_(core), accounts_(core), parker_(core), resumer_(core), attacher_(core, parker_, resumer_) {}

  void OnGatewayLinked(GatewayPeer& gateway);
  /// The link is gone; so may be the gateway.
  void OnGatewayLost(GatewayPeer& gateway);
  /// Its link was congested, and is no longer.
  void OnGatewayHasRoom(GatewayPeer& gateway);
  /// One action of a gateway: done, kept until its shard is live, or answered `not_owner`.
  void OnAction(GatewayPeer& gateway, session::v1::GatewayAction action);
  /// The shard has gone live: does what waited for that.
  void RunWaiting(Shard& shard);
  const std::map<std::string, GatewayPeer*>& gateways() const { return gateways_; }
  /// Null unless it is linked.
  GatewayPeer* FindGateway(const std::string& instance);

  /// One effect of a client's stanza is in the log.
  void FinishInbound(const std::shared_ptr<Session>& session, std::uint64_t count);
  /// Says `confirmed` at the end of the loop's turn.
  void ConfirmLater(const std::shared_ptr<Session>& session);

  /// Decides that the session is over: puts that into the log, where it is applied when it is
  /// read. `condition`, if any, is what its client is told then (RFC 6120 section 4.9.3).
  void End(const std::shared_ptr<Session>& session, std::string_view condition, std::string_view text = {});
  /// Ends every session of the user, but `except`.
  void EndAll(User& user, std::string_view condition, const Session* except = nullptr);
  /// The record of an end has been read: applies it. It is not finished before all that follows
  /// from the end is in the log or the store.
  void OnEndRecord(Shard& shard, const PendingRecord& pending);
  /// The account was removed by the record `offset`, which is not finished before the ends of the
  /// account's sessions are in the log.
  void OnAccountRemoved(User& user, std::int64_t offset);
  /// A record that an earlier owner has finished: what it ended is not to live again.
  void OnFinishedRecord(Shard& shard, const PendingRecord& pending);

  /// Puts the session, whose phase the caller has set, among the user's and the shard's.
  void Add(User& user, const std::shared_ptr<Session>& session);
  /// Of the session, which a gateway has brought, and another one of the same full JID the older
  /// one ends.
  void EndOlder(Session& session);
  /// Forgets one whose place another snapshot of the same session takes: nothing follows from it.
  void Retire(const std::shared_ptr<Session>& session);
  /// Moves the session on, and sees to what is due in its new phase.
  void Enter(Session& session, SessionPhase phase);
  void SetGateway(Session& session, GatewayPeer* gateway);
  /// Looks at the session when that is due.
  void Schedule(Session& session);
  /// `asked` is done again when the session has ended. False: too much waits for that already.
  bool RunAfterEnd(Session& session, const GatewayPeer& gateway, session::v1::GatewayAction asked);
  EndedSessions& EndedOf(const Shard& shard) { return StateOf(shard).ended; }
  /// Too much waits for the client (slow reader, long absence): soon ended.
  void EndOverflowing(Session& session);
  /// Tells the gateway the session's newest state: at once, or when its link has room.
  void PublishState(Session& session);
  void SendState(Session& session);

  /// The client of a parked session is back, says the record: another owner's row is outdated then.
  void OnBackRecord(Shard& shard, const PendingRecord& pending);
  /// Nothing that is stored of the session misleads a next owner any more.
  void OnRowTold(const std::shared_ptr<Session>& session);
  /// Its row is looked at again when the shard is live.
  void LookWhenLive(const Session& session);

  /// A session from the store, at a change of owner.
  void Restore(Shard& shard, WaitingStore::ParkedSession parked);
  /// Sessions whose clients are away.
  std::int64_t away() const { return away_; }
  /// Ends the sessions that have waited for too long.
  void Sweep(Shard& shard);
  /// Waits until every session whose client is away is in the store, `limit` at most.
  Task<void> AwaitParked(std::shared_ptr<Shard> shard, std::chrono::milliseconds limit);
  /// Forgets the sessions of a shard that is no longer ours. Nobody is told anything.
  void Forget(Shard& shard);

 private:
  void Start(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  void OnEnd(GatewayPeer& gateway, const session::v1::GatewayAction& action);
  void OnStanza(GatewayPeer& gateway, session::v1::GatewayAction& action);

  /// What is kept of the sessions of one shard. Two sessions of one full JID are possible for a
  /// moment: when a gateway brings one that the shard's owner did not know.
  struct ShardState {
    explicit ShardState(const asio::any_io_executor& executor)
        : all_parked(std::make_shared<runtime::Event>(executor)) {}
    EndedSessions ended;
    std::set<std::pair<SteadyTime, SessionId>> due;
    /// Sessions whose clients may resume and that are not in the store yet.
    std::set<SessionId> unparked;
    std::shared_ptr<runtime::Event> all_parked;
    /// They have the name of another session, and end when the shard is live.
    std::vector<SessionId> conflicts;
    /// Their clients are back, which the log has to say when the shard is live.
    std::vector<SessionId> back;
  };
  ShardState& StateOf(const Shard& shard);
  void AppendEnd(Session& session, std::string_view condition, std::string_view text, std::int64_t holds);
  void AppendEndRecord(const std::shared_ptr<Shard>& shard, const std::string& bare,
                       events::v1::UserRecord record, std::int64_t holds);
  Task<void> AppendEndAgain(std::shared_ptr<Shard> shard, std::string bare, events::v1::UserRecord record,
                            std::int64_t holds);
  /// `cause`: the record of the end; null when an earlier owner has finished it, so that contacts
  /// know already.
  void Remove(const std::shared_ptr<Session>& session, const events::v1::SessionEnded& ended, Cause* cause);
  void TellEnded(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
                 const events::v1::SessionEnded& ended);
  /// Does what waited for the end of the session, soon.
  void RunSuccessors(Session& session);
  void RunAfterEndLater(WaitingAction waiting);
  /// Everything that its client has sent is in the log.
  void OnAllConfirmed(const std::shared_ptr<Session>& session);
  void OnDue(const std::shared_ptr<Session>& session);
  void EnableStreamManagement(GatewayPeer& gateway, const session::v1::GatewayAction& action);
  void SendConfirms();
  /// What had to wait, unless its gateway is gone.
  void RunLate(WaitingAction waiting);
  /// The shard's number of the action's user, and whether it waits for a shard to be live.
  std::uint32_t ShardNumberFor(const session::v1::GatewayAction& action) const;
  void RefuseNotOwner(GatewayPeer& gateway, const session::v1::GatewayAction& action, std::uint32_t shard);

  Core& core_;
  std::vector<std::unique_ptr<ShardState>> shards_;
  std::unordered_map<const GatewayPeer*, GatewaySessions> by_gateway_;
  AccountActions accounts_;
  SessionParker parker_;
  SessionResumer resumer_;
  SessionAttacher attacher_;
  std::map<std::string, GatewayPeer*> gateways_;
  std::int64_t away_ = 0;
  std::vector<std::shared_ptr<Session>> to_confirm_;
  bool confirm_posted_ = false;
};

}  // namespace rookery::session_manager
