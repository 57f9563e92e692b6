#include "domain/accounts/account_actions.h"

#include "domain/accounts/credentials_version.h"
#include "domain/accounts/known_accounts.h"
#include "domain/sessions/gateways.h"
#include "domain/sessions/link_actions.h"
#include "domain/settings.h"
#include "ports/account_store.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::SessionManagerAction;

Task<void> AccountActions::LookUpCredentials(std::string instance, session::v1::CredentialsLookup request) {
  auto keys = co_await accounts_.GetKeys(request.user());
  GatewayPeer* gateway = gateways_.Find(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = AddUnownedAction(*gateway);
  auto& reply = *action.mutable_credentials();
  reply.set_request_id(request.request_id());
  if (!keys.ok()) {
    SetFailure(*reply.mutable_failure(), keys.status());
    reply.mutable_failure()->set_temporary(true);
    co_return;
  }
  reply.set_version(VersionOf(*keys));
  for (session::v1::ScramKey& key : *keys) *reply.add_keys() = std::move(key);
}

bool AccountActions::IsKnownCurrent(const std::string& user, std::uint64_t version) {
  return accounts_.KnownVersion(user) == version;
}

Task<absl::Status> AccountActions::CheckVersion(std::string user, std::uint64_t version) {
  const auto now = co_await accounts_.Version(std::move(user));
  if (!now.ok()) co_return now.status();
  if (*now != version) co_return absl::PermissionDeniedError("the credentials have changed");
  co_return absl::OkStatus();
}

Task<void> AccountActions::Create(std::string instance, session::v1::AccountCreate request) {
  absl::Status status = absl::OkStatus();
  if (!settings_.registration) {
    status = absl::PermissionDeniedError("registration is off");
  } else {
    auto keys = co_await keys_.Derive(request.password());
    status = keys.status();
    if (keys.ok()) status = co_await accounts_.Create(request.user(), *std::move(keys));
  }
  GatewayPeer* gateway = gateways_.Find(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = AddUnownedAction(*gateway);
  auto& reply = *action.mutable_created();
  reply.set_request_id(request.request_id());
  if (absl::IsAlreadyExists(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kConflict, "the name is taken");
  } else if (absl::IsInvalidArgument(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kNotAcceptable, Message(status));
  } else if (absl::IsPermissionDenied(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kNotAllowed, Message(status));
  } else if (!status.ok()) {
    telemetry::LogWarn("account.not_created", {{"error", status.ToString()}});
    SetFailure(*reply.mutable_failure(), status);
  }
}

}  // namespace rookery::session_manager
