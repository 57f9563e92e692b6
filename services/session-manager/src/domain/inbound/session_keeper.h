#pragma once

#include <exception>
#include <string_view>

#include "ports/gateway_peer.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class Attachments;
class GatewayActions;
class GatewayHello;
class Gateways;
class Outbox;
class SessionActions;
class Shards;
class TurnedAway;
class WaitingActions;

/// Where gateways come in: what follows when one is linked or lost (README.md, "Gateways" and SL3), and
/// whatever one says, for GatewayActions. For whoever has the links. I/O thread only.
class SessionKeeper {
 public:
  SessionKeeper(sharding::ShardOwner& owner, const Shards& shards, Gateways& gateways,
                const GatewayHello& hello, Outbox& outbox, WaitingActions& waiting, TurnedAway& turned_away,
                Attachments& attachments, SessionActions& sessions, GatewayActions& actions)
      : owner_(owner),
        shards_(shards),
        gateways_(gateways),
        hello_(hello),
        outbox_(outbox),
        waiting_(waiting),
        turned_away_(turned_away),
        attachments_(attachments),
        sessions_(sessions),
        actions_(actions) {}

  /// Says hello, or ends the link: another process of the name is newer.
  void OnGatewayLinked(GatewayPeer& gateway);
  /// The link is gone; so may be the gateway.
  void OnGatewayLost(GatewayPeer& gateway);
  /// The registry lists other gateways than before.
  void OnGatewaysRegistered();
  /// Its link was congested, and is no longer.
  void OnGatewayHasRoom(GatewayPeer& gateway);
  void OnAction(GatewayPeer& gateway, session::v1::GatewayAction action);

 private:
  void Welcome(GatewayPeer& gateway);
  /// What is of the link as a whole has failed: all is said again over the next one.
  void CloseFailed(GatewayPeer& gateway, std::string_view action, const std::exception& failure);

  sharding::ShardOwner& owner_;
  const Shards& shards_;
  Gateways& gateways_;
  const GatewayHello& hello_;
  Outbox& outbox_;
  WaitingActions& waiting_;
  TurnedAway& turned_away_;
  Attachments& attachments_;
  SessionActions& sessions_;
  GatewayActions& actions_;
};

}  // namespace rookery::session_manager
