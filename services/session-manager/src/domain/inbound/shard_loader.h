#pragma once

#include <memory>

#include "absl/status/status.h"
#include "domain/state/shard.h"
#include "ports/waiting_store.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class DeliveryStates;
class DirectoryWriter;
class FeatureHooks;
class Gateways;
class OfflineRecovery;
class PacketRecovery;
class SessionParker;
class WaitingActions;
struct Settings;

/// Brings together what a new owner of a shard has to know before it reads the log: the sessions that
/// gateways and the store have, and what waits for them (delivery/README.md, L1 to L3). I/O thread only.
class ShardLoader {
 public:
  ShardLoader(const Settings& settings, WaitingStore& store, Gateways& gateways, DirectoryWriter& directory,
              WaitingActions& waiting, DeliveryStates& states, SessionParker& parker, PacketRecovery& packets,
              OfflineRecovery& offline, const FeatureHooks& features)
      : settings_(settings),
        store_(store),
        gateways_(gateways),
        directory_(directory),
        waiting_(waiting),
        states_(states),
        parker_(parker),
        packets_(packets),
        offline_(offline),
        features_(features) {}

  /// Gateways bring their sessions first, for as long as `shards.attach-timeout` where one of them is not
  /// heard. Then the store is claimed, and read until it has answered for everything or the shard has another
  /// owner. FAILED_PRECONDITION: a newer owner has claimed the shard, whose epoch is in shard->stored_epoch;
  /// nothing was read.
  Task<absl::Status> Load(std::shared_ptr<Shard> shard);

 private:
  /// What waits for sessions of the shard, page by page, each page a statement of its own: parked sessions,
  /// and packets in the store.
  Task<absl::Status> LoadWaiting(std::shared_ptr<Shard> shard);
  void Restore(Shard& shard, WaitingStore::Page page);

  const Settings& settings_;
  WaitingStore& store_;
  Gateways& gateways_;
  DirectoryWriter& directory_;
  WaitingActions& waiting_;
  DeliveryStates& states_;
  SessionParker& parker_;
  PacketRecovery& packets_;
  OfflineRecovery& offline_;
  const FeatureHooks& features_;
};

}  // namespace rookery::session_manager
