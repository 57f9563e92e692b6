#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "domain/lifetime.h"
#include "domain/shard_table.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/session_link.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

/// The identity of this process to the session-managers.
struct GatewayIdentity {
  std::string instance;
  /// Asked at each hello.
  std::function<Incarnation()> incarnation;
  /// A newer process has the name: this one is to end.
  std::function<void(const absl::Status& why)> on_replaced;
};

/// A link to every session-manager that the registry lists, or that a linked session-manager
/// sees there: a gateway that is cut off from the registry alone finds new ones all the same.
/// Opened again with backoff when it breaks, for as long as anybody lists the instance. I/O
/// thread only.
class LinkPool {
 public:
  using LinkId = ShardTable::LinkId;

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnLinkAction(LinkId link, session::v1::SessionManagerAction action) = 0;
    virtual void OnLinkFrameEnd() = 0;
    /// GatewayLink::is_congested() was true, and is no longer.
    virtual void OnLinkUncongested(LinkId link) = 0;
    /// Find(link) is nullptr already.
    virtual void OnLinkDown(LinkId link) = 0;
  };

  /// How a link is opened: rpc::OpenLink, or a test's own way.
  using Open =
      std::function<std::unique_ptr<rpc::GatewayLink>(const std::string& address, rpc::GatewayLinkHandler&)>;

  LinkPool(asio::io_context& io, Open open, GatewayIdentity self, Handler& handler,
           telemetry::Metrics& metrics);
  ~LinkPool();
  LinkPool(const LinkPool&) = delete;
  LinkPool& operator=(const LinkPool&) = delete;

  /// As the registry lists them.
  void SetInstances(const std::vector<routing::Instance>& instances);
  /// nullptr when the link is down. Valid until the loop's next turn.
  rpc::GatewayLink* Find(LinkId link) const;
  std::size_t size() const { return open_.size(); }
  /// Ends every link in order and opens none again.
  void Close();

 private:
  class Peer;
  friend class Peer;

  /// The newest that is known of each instance, whoever lists it.
  std::map<std::string, routing::Instance> Listed() const;
  void Update();
  void UpdateLater();

  asio::io_context& io_;
  const Open open_link_;
  const GatewayIdentity self_;
  Handler& handler_;
  prometheus::Gauge& links_up_;
  prometheus::Counter& links_lost_;
  bool closing_ = false;
  LinkId last_id_ = 0;
  std::vector<routing::Instance> registered_;   // as the registry said last
  std::vector<std::pair<LinkId, Peer*>> open_;  // few: searched from the front
  std::map<std::string, std::shared_ptr<Peer>> peers_;
  const Lifetime lifetime_;
};

}  // namespace rookery::gateway
