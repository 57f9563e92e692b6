#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "domain/accounts/credentials_version.h"
#include "ports/account_store.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class Gateways;
class KeyMaker;
class KnownAccounts;
struct Settings;
struct Shard;

/// Answers what gateways ask about accounts: keys to sign in with, XEP-0077's creation. Any session-manager
/// answers for any account, so that it goes on while shards move.
class AccountActions {
 public:
  AccountActions(const Settings& settings, const Clock& clock, runtime::TaskGroup& tasks,
                 sharding::ShardOwner& owner, KnownAccounts& accounts, KeyMaker& keys, Gateways& gateways)
      : settings_(settings),
        clock_(clock),
        tasks_(tasks),
        owner_(owner),
        accounts_(accounts),
        keys_(keys),
        gateways_(gateways) {}

  /// The answer goes to the gateway with that name, if it is still linked then.
  void LookUpCredentials(std::string gateway, session::v1::CredentialsLookup request);
  /// So does this one. `home`: the shard of the name, null where it is not ours. Then the account is created
  /// when nothing is under way any more to whoever had the name before.
  void Create(std::shared_ptr<Shard> home, std::string gateway, session::v1::AccountCreate request);
  /// Whether it is known without a question that `user` is let in by that.
  bool IsKnownCurrent(const std::string& user, const Standing& claim);
  /// Whether somebody who has authenticated as `claim` says is let in still. PERMISSION_DENIED: the password
  /// has changed since, or the account is gone or another one. UNAVAILABLE or DEADLINE_EXCEEDED: the store is
  /// away.
  Task<absl::Status> Check(std::string user, Standing claim);

 private:
  Task<void> LookUpTask(std::string gateway, session::v1::CredentialsLookup request);
  Task<void> CreateTask(std::shared_ptr<Shard> home, std::string gateway, session::v1::AccountCreate request);
  /// Creates it. Where the store's answer is lost, it is asked again until it says whether the account that
  /// is there is this one; UNAVAILABLE or DEADLINE_EXCEEDED: it has not said so in time.
  Task<absl::Status> Store(std::string user, AccountStore::Account account);
  /// Returns when nothing that was said to whoever had the name before is under way any more. UNAVAILABLE:
  /// it still is, and the gateway is about to give up.
  Task<absl::Status> AwaitIdle(std::shared_ptr<Shard> home, std::string bare);

  const Settings& settings_;
  const Clock& clock_;
  runtime::TaskGroup& tasks_;
  sharding::ShardOwner& owner_;
  KnownAccounts& accounts_;
  KeyMaker& keys_;
  Gateways& gateways_;
};

}  // namespace rookery::session_manager
