#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "domain/accounts/account_actions.h"
#include "domain/metrics.h"
#include "domain/outbound/confirmations.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_parker.h"
#include "ports/gateway_peer.h"
#include "rookery/base/clock.h"
#include "rookery/base/session_id.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class AccountCheck;
class ClientStanzaProcessor;
class Deliverer;
class DirectoryWriter;
class Hooks;
class Outbox;
class SessionAttacher;
class SessionEnds;
class SessionResumer;
class Shards;
class Users;

/// Does what gateways say over their links (each action is done, kept until its shard is live, or answered
/// `not_owner`), and handles the loss of a connection or of a whole gateway. What an action means for a
/// session is in classes of its own where it is more than a few lines. The rules are in README.md, "The life
/// of a session". I/O thread only.
class SessionKeeper final : public LiveSessions::Actions,
                            public Confirmations::Listener,
                            public SessionParker::Listener {
 public:
  SessionKeeper(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                runtime::TaskGroup& tasks, const Addresses& addresses, sharding::ShardOwner& owner,
                const Shards& shards, const SessionTable& table, Users& users, const Hooks& hooks,
                Gateways& gateways, LiveSessions& live, Confirmations& confirmations, Outbox& outbox,
                DirectoryWriter& directory, Deliverer& deliverer, ClientStanzaProcessor& client_stanzas,
                SessionParker& parker, SessionEnds& ends, SessionResumer& resumer, SessionAttacher& attacher,
                AccountActions& accounts, AccountCheck& account_check);

  void OnGatewayLinked(GatewayPeer& gateway);
  /// The link is gone; so may be the gateway.
  void OnGatewayLost(GatewayPeer& gateway);
  /// Its link was congested, and is no longer.
  void OnGatewayHasRoom(GatewayPeer& gateway);
  void OnAction(GatewayPeer& gateway, session::v1::GatewayAction action);
  /// The shard has gone live: first what its sessions waited for, then the actions that did.
  void OnShardLive(Shard& shard);
  void RunWaiting(Shard& shard);
  /// Whether gateways have attached sessions that are kept until the shard is live.
  bool HoldsAttachments(const Shard& shard) const;
  /// Nothing waits any more: the shard is another's, to whose owner all of it comes again.
  void Forget(const Shard& shard);
  /// Does an action that had to wait, unless its gateway is gone.
  void Do(WaitingAction waiting) override;
  void OnAllConfirmed(const std::shared_ptr<Session>& session) override;
  void OnRowTold(const std::shared_ptr<Session>& session) override;
  void OnRestored(Session& session) override;
  /// Ends the sessions that have waited for too long.
  void Sweep(Shard& shard);

 private:
  /// `arrival`: as in WaitingAction. `is_checked`: an attachment is of an account that is as it was.
  void Handle(GatewayPeer& gateway, session::v1::GatewayAction& action, std::uint64_t arrival,
              bool is_checked = false);
  /// Once nothing is under way any more to whoever had the name before.
  Task<void> CreateWhenIdle(std::shared_ptr<Shard> shard, std::string by, session::v1::AccountCreate request);
  Task<void> AttachIfCurrent(std::shared_ptr<Shard> shard, SessionId id, std::string by, std::string bare,
                             session::v1::SessionManagerState state);
  void FinishCheck(const std::string& gateway, std::uint32_t shard);
  /// The attachments of the shard wait no more.
  void ForgetHeld(const Shard& shard);
  /// Too much waits for the shard. A start or a resumption is refused. Anything else is dropped, and all that
  /// follows of its session until its gateway attaches it again, which it is asked to when there is room. No
  /// other shard is concerned: the gateway has it all, and reads clients of this one no further when it has
  /// too much of it.
  void TurnAway(GatewayPeer& gateway, const session::v1::GatewayAction& action, std::uint64_t arrival,
                std::uint32_t number);
  /// True: something of its session that came before the action was turned away, and so is the action, until
  /// the gateway attaches the session again.
  bool DropUntilAttached(GatewayPeer& gateway, const session::v1::GatewayAction& action,
                         std::uint64_t arrival);
  void AskAgain(const Shard& shard);
  void OnAttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done);
  /// A start or a resumption, once it is known that the account is the one that the client has authenticated
  /// to, with the password that it has. Those of one account may be admitted in another order than they came
  /// in: whoever carries them out goes by their arrival.
  void Admit(GatewayPeer& gateway, WaitingAction&& asked, Shard& shard);
  Task<void> AdmitIfCurrent(std::shared_ptr<Shard> shard, WaitingAction asked, Standing claim);
  /// The account is being removed, or was of late.
  bool IsBarred(const Shard& shard, const std::string& user, const Standing& claim) const;
  void RefuseAccess(GatewayPeer& gateway, const session::v1::GatewayAction& action, const Shard& shard,
                    const absl::Status& why);
  void Begin(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard);
  void Start(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard);
  void OnEnd(GatewayPeer& gateway, const session::v1::GatewayAction& action);
  void OnStanza(GatewayPeer& gateway, session::v1::GatewayAction& action);
  void EnableStreamManagement(GatewayPeer& gateway, const session::v1::GatewayAction& action);
  void OnDue(const std::shared_ptr<Session>& session);
  /// The number of the shard of the user whose session the action begins, resumes or brings. Nothing: it is
  /// about a session that is known already.
  std::optional<std::uint32_t> ShardNumberFor(const session::v1::GatewayAction& action) const;
  void RefuseNotOwner(GatewayPeer& gateway, const session::v1::GatewayAction& action, std::uint32_t shard);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  runtime::TaskGroup& tasks_;
  const Addresses& addresses_;
  sharding::ShardOwner& owner_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  const Hooks& hooks_;
  Gateways& gateways_;
  LiveSessions& live_;
  Confirmations& confirmations_;
  Outbox& outbox_;
  DirectoryWriter& directory_;
  Deliverer& deliverer_;
  ClientStanzaProcessor& client_stanzas_;
  SessionParker& parker_;
  SessionEnds& ends_;
  SessionResumer& resumer_;
  SessionAttacher& attacher_;
  AccountActions& accounts_;
  AccountCheck& account_check_;
  std::uint64_t arrivals_ = 0;
  struct Held {
    std::uint32_t shard = 0;
    SteadyTime since;
  };
  /// Sessions whose attachment waits for its shard to be live: so does whatever is said of them meanwhile.
  absl::flat_hash_map<SessionId, Held> held_;
  /// Actions for sessions of which the account store is being asked whether they may be attached.
  absl::flat_hash_map<SessionId, std::deque<WaitingAction>> checking_;
  struct Checks {
    int open = 0;
    /// The gateway's `attach_done` after the last of them.
    std::optional<session::v1::AttachDone> done;
  };
  /// By gateway and shard.
  std::map<std::pair<std::string, std::uint32_t>, Checks> checks_;
  struct TurnedAway {
    /// And the arrival of the first action of each that was.
    absl::flat_hash_map<SessionId, std::uint64_t> sessions;
    /// Some were not even attached.
    bool lacks_attachments = false;
    std::optional<SteadyTime> asked_at;
  };
  /// By gateway and shard.
  std::map<std::pair<std::string, std::uint32_t>, TurnedAway> turned_away_;
};

}  // namespace rookery::session_manager
