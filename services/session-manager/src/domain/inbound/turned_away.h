#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "ports/gateway_peer.h"
#include "rookery/base/clock.h"
#include "rookery/base/session_id.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

struct Shard;
class Gateways;
class Shards;

/// What was turned away since too much waited for its shard (README.md, "Gateways"). A start or a resumption
/// is refused. Anything else is dropped, and all that follows of its session until its gateway attaches it
/// again, which it is asked to when there is room. No other shard is concerned: the gateway has it all, and
/// reads clients of this one no further when it has too much of it. I/O thread only.
class TurnedAway {
 public:
  TurnedAway(const Clock& clock, const Shards& shards, Gateways& gateways)
      : clock_(clock), shards_(shards), gateways_(gateways) {}

  /// `arrival`: as in WaitingAction.
  void Add(GatewayPeer& gateway, const session::v1::GatewayAction& action, std::uint64_t arrival,
           std::uint32_t shard);
  /// True: something of its session that came before the action was turned away, and so is the action, until
  /// the gateway attaches the session again. A gateway that takes too long over that loses its link.
  bool DropUntilAttached(GatewayPeer& gateway, const session::v1::GatewayAction& action,
                         std::uint64_t arrival);
  /// There is room again.
  void AskAgain(const Shard& shard);
  /// The gateway has said that it has attached all its sessions of the shard, and we have let go some of
  /// them.
  bool LacksAttachments(const GatewayPeer& gateway, std::uint32_t shard) const;
  /// The shard is another's.
  void Forget(const Shard& shard);
  /// The gateway is gone: over its next link it attaches everything.
  void Forget(const GatewayPeer& gateway);

 private:
  struct Sessions {
    /// And the arrival of the first action of each that was.
    absl::flat_hash_map<SessionId, std::uint64_t> arrivals;
    /// Some were not even attached.
    bool lacks_attachments = false;
    std::optional<SteadyTime> asked_at;
  };

  const Clock& clock_;
  const Shards& shards_;
  Gateways& gateways_;
  /// By gateway and shard.
  std::map<std::pair<std::string, std::uint32_t>, Sessions> turned_away_;
};

}  // namespace rookery::session_manager
