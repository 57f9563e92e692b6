#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "domain/inbound/session_keeper.h"
#include "ports/gateway_peer.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/session_link.h"

namespace rookery::session_manager {

/// The session-manager's ends of the links that gateways open.
class GatewayLinks {
 public:
  GatewayLinks(asio::io_context& io, SessionKeeper& sessions, const rpc::LinkLimits& limits);
  ~GatewayLinks();

  /// The gRPC service; lives as long as this.
  grpc::Service* service() { return service_.get(); }
  /// A gateway has opened a link; the handler lives as long as the link.
  rpc::SessionManagerLinkHandler* Accept(std::unique_ptr<rpc::SessionManagerLink> link);
  /// Ends every link in order: gateways look for other owners.
  void CloseAll();
  /// The session-managers of the registry, for gateways that cannot read it.
  void SetSessionManagers(const std::vector<routing::Instance>& instances);
  std::size_t size() const { return ends_.size(); }

 private:
  class End;
  void Remove(End& end);

  asio::io_context& io_;
  SessionKeeper& sessions_;
  session::v1::SessionManagersKnown known_;
  std::list<std::unique_ptr<End>> ends_;
  std::unique_ptr<grpc::Service> service_;
};

}  // namespace rookery::session_manager
