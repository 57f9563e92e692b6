#include "domain/outbound/gateways.h"

#include <algorithm>
#include <vector>

#include "domain/state/shard.h"
#include "ports/membership.h"
#include "rookery/base/deadline.h"

namespace rookery::session_manager {

namespace {

/// Nobody says that the registry's list has become complete, or that patience is over: time alone does it.
constexpr std::chrono::milliseconds kLookAgain{200};

}  // namespace

bool Gateways::HaveAllAttached(const Shard& shard) const {
  if (!membership_.KnowsAllGateways()) return false;
  for (const auto& [instance, gateway] : linked_)
    if (!shard.attached_gateways.contains(instance)) return false;
  // One that Redis knows and that has not linked yet may hold sessions too.
  const std::vector<std::string> known = membership_.Gateways();
  return std::all_of(known.begin(), known.end(),
                     [&](const std::string& instance) { return shard.attached_gateways.contains(instance); });
}

Task<bool> Gateways::AwaitAllAttached(std::shared_ptr<Shard> shard, std::chrono::milliseconds patience) {
  SteadyTime limit = clock_.Now() + patience;
  while (clock_.Now() < limit) {
    if (HaveAllAttached(*shard)) co_return true;
    if (!AreInReach()) limit = clock_.Now() + patience;
    (void)co_await changed_.Wait(Deadline::After(kLookAgain));
  }
  co_return false;
}

bool Gateways::AreInReach() const {
  // While Redis is away, gateways may be there that have no way to find us.
  return !linked_.empty() || (membership_.KnowsAllGateways() && membership_.Gateways().empty());
}

void Gateways::NoteAttached(Shard& shard, const std::string& instance) {
  shard.attached_gateways.insert(instance);
  changed_.Notify();
}

}  // namespace rookery::session_manager
