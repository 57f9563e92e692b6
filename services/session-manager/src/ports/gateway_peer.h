#pragma once

#include <string>

#include "rookery/base/incarnation.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

/// A gateway at the other end of a link, for as long as the link lives.
class GatewayPeer {
 public:
  virtual ~GatewayPeer() = default;
  virtual const std::string& instance() const = 0;
  /// Which process of that name it is.
  virtual const Incarnation& incarnation() const = 0;
  /// Room for an action, sent at the end of the loop's turn.
  virtual session::v1::SessionManagerAction& Add() = 0;
  /// As much waits to be sent as a link may hold: packets, which can wait, are not added until
  /// SessionKeeper::OnGatewayHasRoom.
  virtual bool is_congested() const = 0;
  /// Sends what was added, then ends the link. Whatever still comes from the gateway is dropped.
  virtual void Close() = 0;
};

}  // namespace rookery::session_manager
