#include "domain/inbound/admission.h"

#include <cstdint>
#include <utility>

#include "domain/accounts/account_actions.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/session_resumer.h"
#include "domain/sessions/session_starter.h"
#include "domain/state/shards.h"
#include "rookery/base/status.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

namespace {

const std::string& UserOf(const GatewayAction& action) {
  return action.has_start() ? action.start().user() : action.resume().user();
}

/// The account and credentials that the client has authenticated with.
Standing ClaimOf(const GatewayAction& action) {
  if (action.has_start()) return {action.start().account_generation(), action.start().credentials_version()};
  return {action.resume().account_generation(), action.resume().credentials_version()};
}

absl::Status Removed() { return absl::PermissionDeniedError("the account is removed"); }

}  // namespace

void Admission::Admit(GatewayPeer& gateway, WaitingAction&& asked, Shard& shard) {
  const std::string& user = UserOf(asked.action);
  const Standing claim = ClaimOf(asked.action);
  if (IsBarred(shard, user, claim)) return Refuse(gateway, asked.action, shard, Removed());
  // Most have asked us for the credentials a moment ago.
  if (claim == Standing{} || accounts_.IsKnownCurrent(user, claim)) return Begin(gateway, asked, shard);
  // Once it has moved, the next owner is asked.
  shard.Spawn("session.admit", AdmitIfCurrent(shards_.Shared(shard.number), std::move(asked), claim));
}

Task<void> Admission::AdmitIfCurrent(std::shared_ptr<Shard> shard, WaitingAction asked, Standing claim) {
  const std::string user = UserOf(asked.action);
  const auto newest_change = [&] {
    const EndedSessions::CredentialsChange* const change = live_.EndedOf(*shard).ChangeOf(user);
    return change != nullptr ? change->offset : -1;
  };
  const std::int64_t before = newest_change();
  const absl::Status current = co_await accounts_.Check(user, claim);
  GatewayPeer* const gateway = gateways_.Find(asked.gateway);
  if (gateway == nullptr) co_return;
  if (!shard->live() || newest_change() != before) {
    // It waits with the others, or the answer may be an older one: it is asked about again.
    actions_->Do(std::move(asked));
  } else if (!current.ok()) {
    Refuse(*gateway, asked.action, *shard, current);
  } else if (IsBarred(*shard, user, claim)) {
    Refuse(*gateway, asked.action, *shard, Removed());
  } else {
    Begin(*gateway, asked, *shard);
  }
}

bool Admission::IsBarred(const Shard& shard, const std::string& user, const Standing& claim) const {
  return live_.EndedOf(shard).IsBarred(user, claim.generation) ||
         (claim.generation == 0 && shard.removals.contains(user));
}

void Admission::Refuse(GatewayPeer& gateway, const GatewayAction& action, const Shard& shard,
                       const absl::Status& why) {
  SessionManagerAction& reply = AddAction(gateway, SessionId(action.session_id()), shard);
  if (action.has_resume()) reply.mutable_resumed()->set_attempt(action.resume().attempt());
  session::v1::Failure& failure = action.has_start() ? *reply.mutable_started()->mutable_failure()
                                                     : *reply.mutable_resumed()->mutable_failure();
  if (absl::IsPermissionDenied(why)) {
    SetFailure(failure, xmpp::ErrorCondition::kNotAuthorized, Message(why));
  } else {
    SetFailure(failure, why);
    failure.set_temporary(true);
  }
}

void Admission::Begin(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard) {
  if (asked.action.has_start()) return starter_.Start(gateway, asked, shard);
  resumer_.Resume(gateway, asked, shard);
}

}  // namespace rookery::session_manager
