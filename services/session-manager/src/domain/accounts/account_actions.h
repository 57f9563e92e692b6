#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "domain/accounts/credentials_version.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

class Gateways;
class KeyMaker;
class KnownAccounts;
struct Settings;

/// Answers what gateways ask about accounts: keys to sign in with, XEP-0077's creation. Any session-manager
/// answers for any account, so that it goes on while shards move.
class AccountActions {
 public:
  AccountActions(const Settings& settings, KnownAccounts& accounts, KeyMaker& keys, Gateways& gateways)
      : settings_(settings), accounts_(accounts), keys_(keys), gateways_(gateways) {}

  /// The answer goes to the gateway with that name, if it is still linked then.
  Task<void> LookUpCredentials(std::string gateway, session::v1::CredentialsLookup request);
  Task<void> Create(std::string gateway, session::v1::AccountCreate request);
  /// Whether it is known without a question that `user` is let in by that.
  bool IsKnownCurrent(const std::string& user, const Standing& claim);
  /// Whether somebody who has authenticated as `claim` says is let in still. PERMISSION_DENIED: the password
  /// has changed since, or the account is gone or another one. UNAVAILABLE or DEADLINE_EXCEEDED: the store is
  /// away.
  Task<absl::Status> Check(std::string user, Standing claim);

 private:
  const Settings& settings_;
  KnownAccounts& accounts_;
  KeyMaker& keys_;
  Gateways& gateways_;
};

}  // namespace rookery::session_manager
