#include "domain/sessions/gauges.h"

#include <cstddef>

#include "domain/metrics.h"
#include "domain/outbound/gateways.h"
#include "domain/sessions/live_sessions.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

void SetGauges(SessionManagerMetrics& metrics, const Shards& shards, const SessionTable& table,
               const Gateways& gateways, const LiveSessions& live) {
  std::size_t users = 0;
  for (const auto& shard : shards.All()) users += shard->users.size();
  metrics.users.Set(static_cast<double>(users));
  metrics.sessions.Set(static_cast<double>(table.size()));
  metrics.sessions_detached.Set(static_cast<double>(live.away()));
  metrics.gateways.Set(static_cast<double>(gateways.all().size()));
}

}  // namespace rookery::session_manager
