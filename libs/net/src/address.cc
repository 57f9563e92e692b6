#include "address.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/status.h"

namespace rookery::net {

absl::StatusOr<HostPort> SplitHostPort(std::string_view text) {
  const auto bad = [text] {
    return absl::InvalidArgumentError(absl::StrCat("'", AbslView(text), "' is not host:port"));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.size() < 3) return bad();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad();
  }
  std::uint32_t port = 0;
  const std::string_view digits = text.substr(colon + 1);
  if (digits.find_first_not_of("0123456789") != std::string_view::npos ||
      !absl::SimpleAtoi(AbslView(digits), &port) || port > 65535) {
    return bad();
  }
  return HostPort{std::string(host), static_cast<std::uint16_t>(port)};
}

absl::StatusOr<asio::ip::tcp::endpoint> ListenEndpoint(std::string_view text) {
  ROOKERY_ASSIGN_OR_RETURN(const HostPort parts, SplitHostPort(text));
  if (parts.host.empty()) return asio::ip::tcp::endpoint(asio::ip::address_v6::any(), parts.port);
  if (parts.host == "localhost") return asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), parts.port);
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(parts.host, error);
  if (error)
    return absl::InvalidArgumentError(absl::StrCat("'", AbslView(text), "': listen on a numeric address"));
  return asio::ip::tcp::endpoint(address, parts.port);
}

std::string FormatEndpoint(const asio::ip::tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return endpoint.address().is_v6() ? absl::StrCat("[", host, "]:", endpoint.port())
                                    : absl::StrCat(host, ":", endpoint.port());
}

asio::ip::address NormalAddress(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

NetworkKey NetworkOf(const asio::ip::address& normal) {
  NetworkKey key{};
  if (normal.is_v4()) {
    const auto bytes = normal.to_v4().to_bytes();
    std::copy(bytes.begin(), bytes.end(), key.begin());
    key[7] = 4;  // no such /64 is in use: ::/8 is reserved
    if (key[0] == 0) key[6] = 4;
  } else {
    const auto bytes = normal.to_v6().to_bytes();
    std::copy(bytes.begin(), bytes.begin() + 8, key.begin());
  }
  return key;
}

std::string NetworkText(const asio::ip::address& normal) {
  if (normal.is_v4()) return normal.to_string();
  asio::ip::address_v6::bytes_type bytes = normal.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return absl::StrCat(asio::ip::address_v6(bytes).to_string(), "/64");
}

}  // namespace rookery::net
