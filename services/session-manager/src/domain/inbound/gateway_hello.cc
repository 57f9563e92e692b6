#include "domain/inbound/gateway_hello.h"

#include <chrono>
#include <cstdint>
#include <string>

#include "domain/addresses.h"
#include "domain/presence/server_info.h"
#include "domain/settings.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

void GatewayHello::Say(GatewayPeer& gateway) const {
  auto& hello = *gateway.Add().mutable_hello();
  hello.set_instance(settings_.instance);
  hello.set_shard_count(addresses_.shard_count());
  hello.set_resumption_timeout_s(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(settings_.resume_timeout).count()));
  hello.set_duplicate_horizon_ms(static_cast<std::uint32_t>(settings_.duplicate_horizon.count()));
  hello.set_link_grace_ms(static_cast<std::uint32_t>(settings_.link_grace.count()));
  const std::string caps_ver = ServerCapsVer(hooks_);
  for (const std::string& domain : settings_.domains) {
    auto& caps = *hello.add_caps();
    caps.set_domain(domain);
    caps.set_caps_node(std::string(kServerCapsNode));
    caps.set_caps_ver(caps_ver);
  }
  for (const auto& shard : shards_.All()) {
    if (shard->epoch < 0) continue;
    auto& owned = *hello.add_shards();
    owned.set_shard(shard->number);
    owned.set_epoch(shard->epoch);
  }
}

}  // namespace rookery::session_manager
