#pragma once

#include <cstdint>
#include <optional>

#include "domain/inbound/attachments.h"
#include "domain/sessions/live_sessions.h"
#include "ports/gateway_peer.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class AccountActions;
class Addresses;
class Admission;
class Gateways;
class SessionActions;
class SessionEnds;
class SessionTable;
class Shards;
class TurnedAway;
class WaitingActions;

/// Everything that gateways say, and where it goes: each action is done at once, kept until its shard is
/// live, turned away or answered `not_owner`. What it does is others' work. I/O thread only.
class GatewayActions final : public LiveSessions::Actions, public Attachments::Listener {
 public:
  GatewayActions(const Addresses& addresses, sharding::ShardOwner& owner, const Shards& shards,
                 const SessionTable& table, Gateways& gateways, AccountActions& accounts,
                 WaitingActions& waiting, TurnedAway& turned_away, Admission& admission,
                 Attachments& attachments, SessionActions& sessions, SessionEnds& ends)
      : addresses_(addresses),
        owner_(owner),
        shards_(shards),
        table_(table),
        gateways_(gateways),
        accounts_(accounts),
        waiting_(waiting),
        turned_away_(turned_away),
        admission_(admission),
        attachments_(attachments),
        sessions_(sessions),
        ends_(ends) {}

  /// The gateway has just said it.
  void Take(GatewayPeer& gateway, session::v1::GatewayAction action);
  /// Does an action that had to wait, unless its gateway is gone.
  void Do(WaitingAction asked) override;
  void OnChecked(GatewayPeer& gateway, WaitingAction& asked) override;
  /// The shard is live: does what has waited for that.
  void DoWaiting(Shard& shard);
  /// Nothing waits any more: the shard is another's, to whose owner all of it comes again.
  void Forget(Shard& shard);

 private:
  /// `arrival`: as in WaitingAction. `is_checked`: an attachment is of an account that is as it was. An
  /// exception ends the action's session, and is nobody else's concern; only that of an `attach_done` leaves
  /// this.
  void Handle(GatewayPeer& gateway, session::v1::GatewayAction& action, std::uint64_t arrival,
              bool is_checked = false);
  void DoOne(GatewayPeer& gateway, session::v1::GatewayAction& action, std::uint64_t arrival,
             bool is_checked);
  struct Failed;
  /// Ends the session of an action that ended with an exception, half-way.
  void EndFailed(GatewayPeer& gateway, const session::v1::GatewayAction& action, const Failed& failed);
  void Create(GatewayPeer& gateway, session::v1::GatewayAction& action, std::uint64_t arrival);
  /// The number of the shard of the user whose session the action begins, resumes or brings. Nothing: it is
  /// about a session that is known already.
  std::optional<std::uint32_t> ShardNumberFor(const session::v1::GatewayAction& action) const;

  const Addresses& addresses_;
  sharding::ShardOwner& owner_;
  const Shards& shards_;
  const SessionTable& table_;
  Gateways& gateways_;
  AccountActions& accounts_;
  WaitingActions& waiting_;
  TurnedAway& turned_away_;
  Admission& admission_;
  Attachments& attachments_;
  SessionActions& sessions_;
  SessionEnds& ends_;
  std::uint64_t arrivals_ = 0;
};

}  // namespace rookery::session_manager
