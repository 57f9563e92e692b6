#pragma once

#include <memory>
#include <string>

#include "domain/accounts/credentials_version.h"
#include "domain/features/feature_hooks.h"
#include "domain/state/shard.h"
#include "rookery/base/session_id.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_state.pb.h"

namespace rookery::session_manager {

class DeliveryStates;
class DirectoryWriter;
class KnownAccounts;
class LiveSessions;
class Users;

/// Whether sessions that somebody brings to an owner are still let in by what their clients have
/// authenticated as: the log tells so of the last minutes, the account store for ever (README.md, AC5). Those
/// of an account that cannot be read, or whose keys cannot, go on as they are. I/O thread only.
class AccountCheck final : public LifeHook {
 public:
  AccountCheck(KnownAccounts& accounts, Users& users, DeliveryStates& states, LiveSessions& live,
               DirectoryWriter& directory)
      : accounts_(accounts), users_(users), states_(states), live_(live), directory_(directory) {}

  /// Checks all sessions that gateways and the store have brought while the shard is loaded. Those of another
  /// account are gone at once; those of older credentials end when the shard is live.
  Task<void> OnShardLoad(std::shared_ptr<Shard> shard) override;
  /// Checks one that comes later. Waits until the store answers, or the shard is not ours.
  Task<Access> Check(std::shared_ptr<Shard> shard, SessionId id, std::string bare,
                     session::v1::SessionManagerState state);

 private:
  Access Judge(const std::string& bare, const SessionId& id, const session::v1::SessionManagerState& state,
               const Shard& shard, const Standing& now) const;
  /// Whether the store answers for a name that nobody has. Then an error for an account concerns that alone.
  Task<bool> IsStoreWell();
  void Drop(Shard& shard, const std::shared_ptr<Session>& session);

  KnownAccounts& accounts_;
  Users& users_;
  DeliveryStates& states_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
};

}  // namespace rookery::session_manager
