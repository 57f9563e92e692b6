#pragma once

#include <string>

#include "domain/core.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

/// What gateways ask about accounts: keys to sign in with, XEP-0077's creation.
/// Any session-manager answers for any account, so that it goes on while shards move.
class AccountActions {
 public:
  explicit AccountActions(Core& core) : core_(core) {}

  /// The answer goes to the gateway with that name, if it is still linked then.
  Task<void> LookUpCredentials(std::string gateway, session::v1::CredentialsLookup request);
  Task<void> Create(std::string gateway, session::v1::AccountCreate request);

 private:
  Core& core_;
};

}  // namespace rookery::session_manager
