#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rookery::gateway {

/// The origins whose web pages may open a stream from their visitors' browsers (RFC 6455 section 10.2).
/// Immutable.
class WebOrigins {
 public:
  /// `allowed`: origins such as `https://chat.example.org`, or `*` for every one; empty: pages that the
  /// `domains` (prepared) serve themselves, on any port.
  WebOrigins(std::vector<std::string> allowed, std::vector<std::string> domains);

  /// `origin`: of the request; a client without one is no browser's page.
  bool Allows(std::string_view origin) const;

  /// Whether it can be the origin of a page (RFC 6454 section 6.2), or is `*`.
  static bool IsValid(std::string_view origin);

 private:
  std::vector<std::string> allowed_;
  std::vector<std::string> domains_;
};

}  // namespace rookery::gateway
