#pragma once

#include "ports/gateway_peer.h"

namespace rookery::session_manager {

class Addresses;
class Hooks;
class Shards;
struct Settings;

/// What a gateway is told first over its link: what this process is, and which shards it has. I/O thread
/// only.
class GatewayHello {
 public:
  GatewayHello(const Settings& settings, const Addresses& addresses, const Hooks& hooks, const Shards& shards)
      : settings_(settings), addresses_(addresses), hooks_(hooks), shards_(shards) {}

  void Say(GatewayPeer& gateway) const;

 private:
  const Settings& settings_;
  const Addresses& addresses_;
  const Hooks& hooks_;
  const Shards& shards_;
};

}  // namespace rookery::session_manager
