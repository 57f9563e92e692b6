#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rookery/rpc/session_link.h"
#include "world.h"

namespace rookery::simulation {

/// The gRPC streams between gateways and session-managers: frames keep their order within a
/// stream, wait while the network is cut, and a stream that is silent for longer than gRPC's
/// keepalive is broken at both ends.
class Links {
 public:
  explicit Links(World& world);

  using Accept = std::function<rpc::SessionManagerLinkHandler*(std::unique_ptr<rpc::SessionManagerLink>)>;
  /// Takes links at `address` for as long as the process's present life.
  void Serve(Process& process, const std::string& address, Accept accept);
  /// Change what passes; empty unless a mutation wants it.
  struct Hooks {
    std::function<void(std::vector<session::v1::GatewayAction>&)> up;
    std::function<void(std::vector<session::v1::SessionManagerAction>&)> down;
    /// `down` is asked when a frame is sent, this one when the gateway hears it.
    std::function<void(const Process& gateway, std::vector<session::v1::SessionManagerAction>&)> heard;
  } hooks;
  /// What a session-manager gives a client, as it is sent.
  std::function<void(const common::v1::Stanza&)> on_packet;

  std::unique_ptr<rpc::GatewayLink> Open(Process& from, const std::string& address,
                                         rpc::GatewayLinkHandler& handler);

 private:
  struct Server {
    Process* process;
    std::uint64_t life;
    Accept accept;
  };
  struct Connection;
  template <typename Out>
  class End;
  void OnDeath(Process& process);
  void OnChange();
  void Check();

  World& world_;
  std::map<std::string, Server> servers_;
  std::vector<std::shared_ptr<Connection>> connections_;
};

}  // namespace rookery::simulation
