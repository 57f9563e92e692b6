#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "rookery/rpc/server.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::rpc {

/// The calls that one end of a link gets, on the I/O thread. After OnClosed nothing follows.
template <typename In>
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual void OnAction(In action) = 0;
  /// All actions of one frame have been given: a good moment to send batches.
  virtual void OnFrameEnd() = 0;
  /// Link::is_congested() was true, and is no longer.
  virtual void OnUncongested() {}
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct LinkLimits {
  /// The most that may wait to be written before the link is congested.
  std::size_t max_outbox_bytes = std::size_t{16} << 20;
  /// A peer that takes nothing for so long is taken for dead, although its process answers
  /// keepalive, which needs half of it.
  std::chrono::milliseconds stuck_after{10'000};
};

/// One end of the stream between a gateway and a session-manager. Actions sent while a
/// write is in flight, or within one turn of the loop, share a frame (at most 256 actions
/// or about 256 KiB). Never blocks, never drops: whoever fills the link stops while it is
/// congested. I/O thread only. Destroying it cancels the stream.
template <typename Out>
class Link {
 public:
  virtual ~Link() = default;
  /// Room for an action, filled in place: no copy.
  virtual Out& Add() = 0;
  virtual std::size_t outbox_bytes() const = 0;
  /// From when LinkLimits::max_outbox_bytes wait until no more than half of that does.
  virtual bool is_congested() const = 0;
  /// Writes what is queued, then ends the stream in order.
  virtual void Close() = 0;
};

using GatewayLink = Link<session::v1::GatewayAction>;                // held by the gateway
using SessionManagerLink = Link<session::v1::SessionManagerAction>;  // held by the session-manager
using GatewayLinkHandler = LinkHandler<session::v1::SessionManagerAction>;
using SessionManagerLinkHandler = LinkHandler<session::v1::GatewayAction>;

/// Opens a link; a failure comes through handler.OnClosed (UNAVAILABLE). Keepalive
/// notices a dead peer within some seconds. No reconnection: the caller opens another.
std::unique_ptr<GatewayLink> OpenLink(asio::io_context& io, const ClientOptions& options,
                                      const std::string& address, GatewayLinkHandler& handler,
                                      const LinkLimits& limits = {});

/// Serves links: `on_link` is called on the I/O thread with each new stream and gives
/// its handler, which must outlive the Link.
using OnLink = std::function<SessionManagerLinkHandler*(std::unique_ptr<SessionManagerLink> link)>;
std::unique_ptr<grpc::Service> MakeLinkService(asio::io_context& io, OnLink on_link,
                                               const LinkLimits& limits = {});

}  // namespace rookery::rpc
