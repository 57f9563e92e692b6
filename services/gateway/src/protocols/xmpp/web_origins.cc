#include "protocols/xmpp/web_origins.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "rookery/xmpp/jid.h"

namespace rookery::gateway {
namespace {

/// Returns the host of `http://host:port` or `https://host:port`, where the port may be missing.
std::optional<std::string_view> HostOf(std::string_view origin) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!origin.starts_with(scheme)) continue;
    std::string_view host = origin.substr(scheme.size());
    // An IPv6 address has colons of its own.
    if (const std::size_t colon = host.rfind(':'); colon != std::string_view::npos && !host.ends_with(']')) {
      const std::string_view port = host.substr(colon + 1);
      if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
      host = host.substr(0, colon);
    }
    if (host.empty() || host.find_first_of("/?#@ ") != std::string_view::npos) return std::nullopt;
    return host;
  }
  return std::nullopt;
}

}  // namespace

WebOrigins::WebOrigins(std::vector<std::string> allowed, std::vector<std::string> domains)
    : allowed_(std::move(allowed)), domains_(std::move(domains)) {}

bool WebOrigins::Allows(std::string_view origin) const {
  if (origin.empty()) return true;
  if (!allowed_.empty()) {
    return std::any_of(allowed_.begin(), allowed_.end(), [origin](const std::string& one) {
      return one == "*" || absl::EqualsIgnoreCase(one, absl::string_view(origin.data(), origin.size()));
    });
  }
  const auto host = HostOf(origin);
  if (!host) return false;
  // Browsers write the name in ASCII (RFC 6454 section 6.2).
  const auto domain = xmpp::PrepareDomain(*host);
  return domain.ok() && std::find(domains_.begin(), domains_.end(), *domain) != domains_.end();
}

bool WebOrigins::IsValid(std::string_view origin) { return origin == "*" || HostOf(origin).has_value(); }

}  // namespace rookery::gateway
