#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "rookery/net/connection.h"

namespace rookery::net {

struct HostPort {
  std::string host;  // without brackets
  std::uint16_t port = 0;
};

/// `host:port`, `[v6]:port` or `:port`. INVALID_ARGUMENT.
absl::StatusOr<HostPort> SplitHostPort(std::string_view text);
/// The endpoint to listen on: a numeric address, `localhost`, or none for all.
absl::StatusOr<asio::ip::tcp::endpoint> ListenEndpoint(std::string_view text);
std::string FormatEndpoint(const asio::ip::tcp::endpoint& endpoint);

}  // namespace rookery::net
