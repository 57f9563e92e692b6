#include "domain/outbound/gateways.h"

#include <algorithm>
#include <vector>

#include "domain/state/shard.h"
#include "ports/membership.h"

namespace rookery::session_manager {

bool Gateways::HaveAllAttached(const Shard& shard) const {
  if (!membership_.KnowsAllGateways()) return false;
  for (const auto& [instance, gateway] : linked_)
    if (!shard.attached_gateways.contains(instance)) return false;
  // One that Redis knows and that has not linked yet may hold sessions too.
  const std::vector<std::string> known = membership_.Gateways();
  return std::all_of(known.begin(), known.end(),
                     [&](const std::string& instance) { return shard.attached_gateways.contains(instance); });
}

void Gateways::NoteAttached(Shard& shard, const std::string& instance) {
  shard.attached_gateways.insert(instance);
  changed_.Notify();
}

}  // namespace rookery::session_manager
