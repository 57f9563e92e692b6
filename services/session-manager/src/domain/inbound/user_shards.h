#pragma once

#include <memory>
#include <string_view>

#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::session_manager {

struct Shard;
class DeliverySteps;
class DueSessions;
class FeatureHooks;
class GatewayActions;
class Gateways;
class LiveSessions;
class RecordProcessor;
class ShardLoader;
class Shards;
class WaitingStore;

/// The part of the shards of `users` that is beyond the machinery that all sharded services share: the
/// sessions that gateways and the store bring to a new owner, the records of users, and what is handed over.
class UserShards final : public sharding::ShardService {
 public:
  UserShards(const Clock& clock, const Shards& shards, WaitingStore& store, Gateways& gateways,
             LiveSessions& live, ShardLoader& loader, DeliverySteps& delivery, const FeatureHooks& features,
             DueSessions& due, GatewayActions& actions, RecordProcessor& records)
      : clock_(clock),
        shards_(shards),
        store_(store),
        gateways_(gateways),
        live_(live),
        loader_(loader),
        delivery_(delivery),
        features_(features),
        due_(due),
        actions_(actions),
        records_(records) {}

  std::shared_ptr<sharding::Shard> MakeShard(std::uint32_t number,
                                             std::chrono::milliseconds horizon) override;
  std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) override;
  Parsed Parse(std::string_view value) override;
  /// Gateways learn of the owner, and attach their sessions meanwhile.
  void OnFenced(sharding::Shard& shard) override;
  /// Sessions and packets, from gateways and the store.
  Task<absl::Status> Load(std::shared_ptr<sharding::Shard> shard) override;
  void OnReading(sharding::Shard& shard, bool was_cut) override;
  void OnFinishedRecord(sharding::Shard& shard, sharding::Record& record) override;
  void OnGivenUp(sharding::Shard& shard, sharding::Record& record) override;
  void OnNotApplied(sharding::Shard& shard, sharding::Record& record) override;
  void Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) override;
  bool is_settled(sharding::Shard& shard) const override;
  Task<void> Settle(std::shared_ptr<sharding::Shard> shard) override;
  void GoLive(sharding::Shard& shard) override;
  void OnCertain(sharding::Shard& shard) override;
  void OnCommitted(sharding::Shard& shard) override;
  /// Sessions whose clients are away go to the store.
  Task<void> HandOver(std::shared_ptr<sharding::Shard> shard, SteadyTime limit) override;
  Task<absl::StatusOr<std::optional<KeptCursor>>> FindCursor(std::uint32_t number) override;
  Task<absl::Status> KeepCursor(std::uint32_t number, std::int64_t epoch, std::int64_t cursor) override;
  void Forget(sharding::Shard& shard) override;
  /// While as much waits for the store as may.
  bool is_full(sharding::Shard& shard) const override;
  /// Not while gateways are registered and none of them is linked.
  bool is_able() const override;

  /// Every 500 ms.
  void Sweep();

 private:
  /// For the first time, or once more.
  void OnLive(Shard& shard);

  const Clock& clock_;
  const Shards& shards_;
  WaitingStore& store_;
  Gateways& gateways_;
  LiveSessions& live_;
  ShardLoader& loader_;
  DeliverySteps& delivery_;
  const FeatureHooks& features_;
  DueSessions& due_;
  GatewayActions& actions_;
  RecordProcessor& records_;
};

}  // namespace rookery::session_manager
