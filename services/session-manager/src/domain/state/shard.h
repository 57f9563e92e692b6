#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "domain/features/feature_state.h"
#include "domain/state/pending_ends.h"
#include "domain/state/user.h"
#include "ports/waiting_store.h"
#include "rookery/base/string_hash.h"
#include "rookery/runtime/event.h"
#include "rookery/sharding/shard.h"

namespace rookery::session_manager {

struct ShardDelivery;

/// A shard of users.
struct Shard final : sharding::Shard {
  using sharding::Shard::Shard;

  // Found by string_view too: absl hashes its own view type only, which is not std's here.
  std::unordered_map<std::string, std::unique_ptr<User>, StringHash, std::equal_to<>> users;
  /// The user's entry, made when missing.
  User& GetUser(std::string_view bare);
  /// Null: there is none.
  User* FindUser(std::string_view bare) const;

  /// Gateways that have attached their sessions for this epoch.
  std::set<std::string> attached_gateways;
  struct Removal {
    std::int64_t record = -1;
    std::uint64_t generation = 0;
    /// Sessions whose contacts do not know yet that they are gone.
    std::vector<std::string> available;
  };
  /// Those that are not finished, by account.
  std::map<std::string, Removal, std::less<>> removals;
  /// Sessions that gateways have brought so far were let in by what their accounts are; one that comes later
  /// is asked about.
  bool has_checked_accounts = false;
  /// Actions of gateways that wait until we are live.
  std::deque<WaitingAction> waiting;
  /// Resumptions of sessions that nobody knows and that a gateway may still bring.
  std::map<SessionId, WaitingResume> unknown_resumes;

  /// Sessions that have ended and whose gateways must not forget them yet.
  PendingEnds pending_ends;
  /// Null before something is delivered or stored.
  std::shared_ptr<ShardDelivery> delivery;
  FeatureState features;
};

}  // namespace rookery::session_manager
