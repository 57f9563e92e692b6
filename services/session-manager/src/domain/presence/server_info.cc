#include "domain/presence/server_info.h"

#include "domain/presence/caps_hash.h"
#include "rookery/base/check.h"
#include "rookery/xmpp/disco.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

xmpp::Element MakeServerInfo(const Hooks& hooks) {
  xmpp::Element query("query", xmpp::ns::kDiscoInfo);
  xmpp::AddIdentity(query, "server", "im", "Rookery");
  for (const std::string& feature : hooks.server_features) xmpp::AddFeature(query, feature);
  return query;
}

std::string ServerCapsVer(const Hooks& hooks) {
  std::optional<std::string> ver = CapsVer(MakeServerInfo(hooks), "sha-1");
  // No module registers a feature twice.
  ROOKERY_CHECK(ver.has_value());
  return *std::move(ver);
}

}  // namespace rookery::session_manager
