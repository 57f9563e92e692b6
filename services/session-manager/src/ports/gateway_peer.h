#pragma once

#include <string>

#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

/// A gateway at the other end of a link, for as long as the link lives.
class GatewayPeer {
 public:
  virtual ~GatewayPeer() = default;
  virtual const std::string& instance() const = 0;
  /// Room for an action, sent at the end of the loop's turn.
  virtual session::v1::SessionManagerAction& Add() = 0;
};

}  // namespace rookery::session_manager
