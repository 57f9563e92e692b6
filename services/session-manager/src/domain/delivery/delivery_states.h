#pragma once

#include "domain/delivery/delivery_state.h"
#include "domain/metrics.h"
#include "domain/settings.h"
#include "domain/state/shard.h"
#include "ports/waiting_store.h"
#include "rookery/runtime/task.h"

namespace rookery::sharding {
class ShardOwner;
}

namespace rookery::session_manager {

/// The state of delivery in each shard, made when it is needed first. I/O thread only.
class DeliveryStates {
 public:
  DeliveryStates(asio::any_io_executor executor, const Settings& settings, SessionManagerMetrics& metrics,
                 sharding::ShardOwner& owner, WaitingStore& store)
      : executor_(std::move(executor)),
        settings_(settings),
        metrics_(metrics),
        owner_(owner),
        store_(store) {}

  ShardDelivery& Of(Shard& shard);
  /// Writes what the shard has for the store.
  StoreWriter& WriterOf(Shard& shard) { return *Of(shard).writer; }
  /// Ownership is certain again.
  static void ContinueWriting(Shard& shard);
  /// The shard is released.
  static void AbandonWrites(Shard& shard);

 private:
  asio::any_io_executor executor_;
  const Settings& settings_;
  SessionManagerMetrics& metrics_;
  sharding::ShardOwner& owner_;
  WaitingStore& store_;
};

}  // namespace rookery::session_manager
