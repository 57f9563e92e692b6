#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "domain/user.h"
#include "ports/waiting_store.h"
#include "rookery/sharding/shard.h"

namespace rookery::session_manager {

struct ShardDelivery;

/// What a gateway is told at the end of a session, once it may forget the session.
struct PendingEnd {
  /// Records up to here must be finished and the cursor committed beyond them.
  std::int64_t offset = -1;
  /// The offline store has what the session leaves to it, and marks for what its client has had.
  bool written = false;
  /// It has messages that are nowhere else, not in the log either.
  bool has_rows = false;
  bool told = false;
  /// Told then, written or not, unless it has rows.
  SteadyTime limit = SteadyTime::max();
  std::function<void()> tell;
};

/// A shard of users.
struct Shard final : sharding::Shard {
  using sharding::Shard::Shard;

  // Found by string_view too: absl hashes its own view type only, which is not std's here.
  std::unordered_map<std::string, std::unique_ptr<User>, StringHash, std::equal_to<>> users;

  /// Gateways that have attached their sessions for this epoch.
  std::set<std::string> attached_gateways;
  /// Actions of gateways that wait until we are live.
  std::deque<WaitingAction> waiting;

  /// Sessions that have ended and whose gateways must not forget them yet.
  std::list<std::shared_ptr<PendingEnd>> pending_ends;
  /// Null before something is delivered or stored.
  std::shared_ptr<ShardDelivery> delivery;
};

}  // namespace rookery::session_manager
