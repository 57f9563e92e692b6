#include "domain/inbound/turned_away.h"

#include "domain/inbound/admission.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/state/shards.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;

namespace {

/// So long a gateway may take to attach again what was turned away. One of an earlier release does not know
/// that it is asked to.
constexpr std::chrono::seconds kAgainLimit{10};

}  // namespace

void TurnedAway::Add(GatewayPeer& gateway, const GatewayAction& action, std::uint64_t arrival,
                     std::uint32_t number) {
  if (action.has_start() || action.has_resume()) {
    const Shard* const shard = shards_.Find(number);
    if (shard != nullptr)
      Admission::Refuse(gateway, action, *shard,
                        absl::ResourceExhaustedError("too much waits for the shard"));
    return;
  }
  const auto [entry, is_first] = turned_away_.try_emplace({gateway.instance(), number});
  if (is_first)
    telemetry::LogWarn("shard.waiting_full", {{"shard", number}, {"gateway", gateway.instance()}});
  Sessions& sessions = entry->second;
  sessions.arrivals.try_emplace(SessionId(action.session_id()), arrival);
  sessions.lacks_attachments |= action.has_attach();
  sessions.asked_at.reset();
}

bool TurnedAway::DropUntilAttached(GatewayPeer& gateway, const GatewayAction& action, std::uint64_t arrival) {
  if (turned_away_.empty() || action.has_start() || action.has_resume()) return false;
  for (auto it = turned_away_.lower_bound({gateway.instance(), 0});
       it != turned_away_.end() && it->first.first == gateway.instance(); ++it) {
    Sessions& sessions = it->second;
    const auto found = sessions.arrivals.find(SessionId(action.session_id()));
    if (found == sessions.arrivals.end()) continue;
    // One that has waited since before that.
    if (arrival < found->second) return false;
    if (action.has_attach()) {
      sessions.arrivals.erase(found);
      if (sessions.arrivals.empty() && sessions.asked_at) turned_away_.erase(it);
      return false;
    }
    if (sessions.asked_at && clock_.Now() - *sessions.asked_at > kAgainLimit) gateway.Close();
    return true;
  }
  return false;
}

void TurnedAway::AskAgain(const Shard& shard) {
  for (auto& [key, sessions] : turned_away_) {
    GatewayPeer* const gateway = key.second == shard.number ? gateways_.Find(key.first) : nullptr;
    if (gateway == nullptr || sessions.asked_at) continue;
    sessions.asked_at = clock_.Now();
    sessions.lacks_attachments = false;
    AddShardOwned(*gateway, shard);
  }
}

bool TurnedAway::LacksAttachments(const GatewayPeer& gateway, std::uint32_t shard) const {
  const auto found = turned_away_.find({gateway.instance(), shard});
  return found != turned_away_.end() && found->second.lacks_attachments;
}

void TurnedAway::Forget(const Shard& shard) {
  std::erase_if(turned_away_, [&](const auto& entry) { return entry.first.second == shard.number; });
}

void TurnedAway::Forget(const GatewayPeer& gateway) {
  std::erase_if(turned_away_, [&](const auto& entry) { return entry.first.first == gateway.instance(); });
}

}  // namespace rookery::session_manager
