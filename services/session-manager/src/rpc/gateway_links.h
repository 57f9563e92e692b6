#pragma once

#include <list>
#include <memory>
#include <string>

#include "domain/session_keeper.h"
#include "ports/gateway_peer.h"
#include "rookery/rpc/session_link.h"

namespace rookery::session_manager {

/// The session-manager's ends of the links that gateways open.
class GatewayLinks {
 public:
  GatewayLinks(asio::io_context& io, SessionKeeper& sessions);
  ~GatewayLinks();

  /// The gRPC service; lives as long as this.
  grpc::Service* service() { return service_.get(); }
  /// Ends every link in order: gateways look for other owners.
  void CloseAll();
  std::size_t size() const { return ends_.size(); }

 private:
  class End;
  rpc::SessionManagerLinkHandler* OnLink(std::unique_ptr<rpc::SessionManagerLink> link);
  void Remove(End& end);

  asio::io_context& io_;
  SessionKeeper& sessions_;
  std::list<std::unique_ptr<End>> ends_;
  std::unique_ptr<grpc::Service> service_;
};

}  // namespace rookery::session_manager
