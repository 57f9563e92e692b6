#pragma once

#include <memory>

#include "domain/settings.h"
#include "ports/account_store.h"
#include "ports/membership.h"
#include "ports/roster.h"
#include "ports/service_disco.h"
#include "ports/session_directory.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"
#include "rookery/events/log.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/follow_up_writer.h"
#include "rookery/sharding/shard_owner.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::session_manager {

class CapsTracker;
class DirectoryWriter;
class Gateways;
class PresenceTracker;
class SessionEnds;
class SessionKeeper;
class SessionTable;
class SettingsCache;
class Shards;
struct SessionManagerMetrics;

/// The ports through which the domain reaches the world.
struct Ports {
  sharding::ShardOwner& owner;
  events::Log& log;
  Membership& membership;
  AccountStore& accounts;
  KeyMaker& keys;
  WaitingStore& waiting;
  Roster& roster;
  ServiceDisco& service_disco;
  SessionDirectory& directory;
};

/// The parts of a session-manager, put together: the only place that knows all of them. No part is given
/// this; each says in its constructor what it needs, and whoever it tells of something implements its
/// interface. Used by those that run a session-manager: the process, the simulator, tests. One I/O
/// thread, no locks.
class Domain {
 public:
  Domain(asio::any_io_executor executor, const Settings& settings, Ports ports, const Clock& clock,
         telemetry::Metrics& metrics);
  ~Domain();

  /// For the shards' owner, to be called once it has joined; no more after the domain's death.
  sharding::ShardService& shard_service();
  /// To be called every 500 ms: does what is due by then.
  void Sweep();

  /// Answers gateways.
  SessionKeeper& sessions();
  /// To be flushed every 100 ms.
  DirectoryWriter& directory();

  // To look at.
  const Shards& shards() const;
  const SessionTable& table() const;
  const Gateways& gateways() const;
  const sharding::FollowUpWriter& follow_ups() const;
  const SettingsCache& settings_cache() const;
  const CapsTracker& caps() const;
  PresenceTracker& presence();
  SessionEnds& ends();
  SessionManagerMetrics& metrics();
  runtime::TaskGroup& tasks();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rookery::session_manager
