#pragma once

#include <memory>
#include <string_view>

#include "domain/core.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::session_manager {

/// What the shards of `users` are beyond the machinery that all sharded services share: the
/// sessions that gateways and the store bring to a new owner, the records of users, and what is
/// handed over.
class UserShards final : public sharding::ShardService {
 public:
  explicit UserShards(Core& core);

  std::shared_ptr<sharding::Shard> MakeShard(std::uint32_t number,
                                             std::chrono::milliseconds horizon) override;
  std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) override;
  Parsed Parse(std::string_view value) override;
  /// Gateways learn of the owner, and attach their sessions meanwhile.
  void OnFenced(sharding::Shard& shard) override;
  /// Sessions and packets from the store, and the gateways' sessions: for as long as
  /// `shards.attach-timeout` where one of them is not heard.
  Task<absl::Status> Load(std::shared_ptr<sharding::Shard> shard) override;
  void OnReading(sharding::Shard& shard, bool was_cut) override;
  void OnFinishedRecord(sharding::Shard& shard, sharding::Record& record) override;
  void Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) override;
  bool is_settled(sharding::Shard& shard) const override;
  Task<void> Settle(std::shared_ptr<sharding::Shard> shard) override;
  void GoLive(sharding::Shard& shard) override;
  void OnCertain(sharding::Shard& shard) override;
  void OnCommitted(sharding::Shard& shard) override;
  /// Sessions whose clients are away go to the store.
  Task<void> HandOver(std::shared_ptr<sharding::Shard> shard, SteadyTime limit) override;
  void Forget(sharding::Shard& shard) override;
  /// While as much waits for the store as may.
  bool is_full(sharding::Shard& shard) const override;
  /// Not while gateways are registered and none of them is linked.
  bool is_able() const override;

  /// Every 500 ms.
  void Sweep();

 private:
  Task<void> AwaitGateways(std::shared_ptr<Shard> shard);
  bool AllGatewaysAttached(const Shard& shard) const;

  Core& core_;
};

}  // namespace rookery::session_manager
