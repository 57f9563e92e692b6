#include "domain/features/feature_hooks.h"

#include <algorithm>

#include "rookery/base/check.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

Task<void> FeatureHooks::Load(std::shared_ptr<Shard> shard) const {
  for (LifeHook* hook : life_) co_await hook->OnShardLoad(shard);
}

bool FeatureHooks::AreSettled(const Shard& shard) const {
  return std::all_of(life_.begin(), life_.end(),
                     [&](const LifeHook* hook) { return hook->IsSettled(shard); });
}

Task<void> FeatureHooks::Settle(std::shared_ptr<Shard> shard) const {
  for (LifeHook* hook : life_) co_await hook->Settle(shard);
}

xmpp::Stanza MakeRefusal(const xmpp::Stanza& stanza, const Veto& veto) {
  ROOKERY_CHECK(veto.condition.has_value());
  // No change of the stanza would help (RFC 6120 section 8.3.2).
  const auto type =
      *veto.condition == xmpp::ErrorCondition::kForbidden ? xmpp::ErrorType::kAuth : xmpp::ErrorType::kCancel;
  xmpp::Stanza error = xmpp::MakeError(stanza, *veto.condition, {}, type);
  if (!veto.detail) return error;
  auto children = xmpp::ParsePayload(error.payload());
  if (!children.ok()) return error;
  xmpp::ClearPayload(error);
  for (xmpp::Element& child : *children) {
    if (child.Is("error", xmpp::ns::kClient)) child.Add(*veto.detail);
    xmpp::AddPayload(error, child);
  }
  return error;
}

}  // namespace rookery::session_manager
