#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "domain/shard_table.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/session_link.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

/// A link to every session-manager of the registry, opened again with backoff when it
/// breaks, for as long as the registry lists the instance. I/O thread only.
class LinkPool {
 public:
  using LinkId = ShardTable::LinkId;

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnLinkAction(LinkId link, session::v1::SessionManagerAction action) = 0;
    virtual void OnLinkFrameEnd() = 0;
    /// Find(link) is nullptr already.
    virtual void OnLinkDown(LinkId link) = 0;
  };

  /// How a link is opened: rpc::OpenLink, or a test's own way.
  using Open =
      std::function<std::unique_ptr<rpc::GatewayLink>(const std::string& address, rpc::GatewayLinkHandler&)>;

  LinkPool(asio::io_context& io, Open open, std::string instance, Handler& handler,
           telemetry::Metrics& metrics);
  ~LinkPool();
  LinkPool(const LinkPool&) = delete;
  LinkPool& operator=(const LinkPool&) = delete;

  void SetInstances(const std::vector<routing::Instance>& instances);
  /// nullptr when the link is down. Valid until the loop's next turn.
  rpc::GatewayLink* Find(LinkId link) const;
  std::size_t size() const { return open_.size(); }
  /// Ends every link in order and opens none again.
  void Close();

 private:
  class Peer;
  friend class Peer;

  asio::io_context& io_;
  const Open open_link_;
  const std::string instance_;
  Handler& handler_;
  prometheus::Gauge& links_up_;
  prometheus::Counter& links_lost_;
  bool closing_ = false;
  LinkId last_id_ = 0;
  std::vector<routing::Instance> instances_;    // as the registry said last
  std::vector<std::pair<LinkId, Peer*>> open_;  // few: searched from the front
  std::map<std::string, std::shared_ptr<Peer>> peers_;
};

}  // namespace rookery::gateway
