#pragma once

#include <array>
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

/// The address with IPv4-mapped IPv6 turned into IPv4.
asio::ip::address NormalAddress(const asio::ip::address& address);
/// The addresses that one host has: an IPv4 address, or the /64 of an IPv6 one. For use as a key.
using NetworkKey = std::array<unsigned char, 8>;
NetworkKey NetworkOf(const asio::ip::address& normal);
/// NetworkOf as text: `192.0.2.1`, `2001:db8:1:2::/64`.
std::string NetworkText(const asio::ip::address& normal);

}  // namespace rookery::net
