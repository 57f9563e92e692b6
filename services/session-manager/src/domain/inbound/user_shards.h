#pragma once

#include <memory>
#include <string_view>

#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::session_manager {

class HandOuts;
class OfflineMarks;
class OfflineRecovery;
class WaitingStanzas;
class Outbox;
struct Shard;
class DeliveryStates;
class DirectoryWriter;
class DueSessions;
class FeatureHooks;
class GatewayActions;
class PacketRecovery;
class PacketRows;
class Gateways;
class LiveSessions;
class Membership;
class RecordProcessor;
class SessionCloser;
class SessionParker;
class Shards;
class WaitingActions;
class WaitingStore;
struct Settings;

/// The part of the shards of `users` that is beyond the machinery that all sharded services share: the
/// sessions that gateways and the store bring to a new owner, the records of users, and what is handed over.
class UserShards final : public sharding::ShardService {
 public:
  UserShards(const Settings& settings, const Clock& clock, const Shards& shards, Membership& membership,
             WaitingStore& store, Gateways& gateways, LiveSessions& live, DirectoryWriter& directory,
             SessionCloser& closer, Outbox& outbox, DeliveryStates& states, WaitingStanzas& waiting,
             OfflineMarks& marks, HandOuts& hand_outs, OfflineRecovery& recovery, PacketRows& packet_rows,
             PacketRecovery& packet_recovery, const FeatureHooks& features, SessionParker& parker,
             DueSessions& due, WaitingActions& waiting_actions, GatewayActions& actions,
             RecordProcessor& records)
      : settings_(settings),
        clock_(clock),
        shards_(shards),
        membership_(membership),
        store_(store),
        gateways_(gateways),
        live_(live),
        directory_(directory),
        closer_(closer),
        outbox_(outbox),
        states_(states),
        waiting_(waiting),
        marks_(marks),
        hand_outs_(hand_outs),
        recovery_(recovery),
        packet_rows_(packet_rows),
        packet_recovery_(packet_recovery),
        features_(features),
        parker_(parker),
        due_(due),
        waiting_actions_(waiting_actions),
        actions_(actions),
        records_(records) {}

  std::shared_ptr<sharding::Shard> MakeShard(std::uint32_t number,
                                             std::chrono::milliseconds horizon) override;
  std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) override;
  Parsed Parse(std::string_view value) override;
  /// Gateways learn of the owner, and attach their sessions meanwhile.
  void OnFenced(sharding::Shard& shard) override;
  /// Sessions and packets from the store, and the gateways' sessions: for as long as
  /// `shards.attach-timeout` where one of them is not heard. The store is claimed before it is read.
  Task<absl::Status> Load(std::shared_ptr<sharding::Shard> shard) override;
  void OnReading(sharding::Shard& shard, bool was_cut) override;
  void OnFinishedRecord(sharding::Shard& shard, sharding::Record& record) override;
  void OnGivenUp(sharding::Shard& shard, sharding::Record& record) override;
  void OnRefused(sharding::Shard& shard, sharding::Record& record) override;
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
  Task<void> AwaitGateways(std::shared_ptr<Shard> shard);
  /// For the first time, or once more.
  void OnLive(Shard& shard);

  const Settings& settings_;
  const Clock& clock_;
  const Shards& shards_;
  Membership& membership_;
  WaitingStore& store_;
  Gateways& gateways_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  SessionCloser& closer_;
  Outbox& outbox_;
  DeliveryStates& states_;
  WaitingStanzas& waiting_;
  OfflineMarks& marks_;
  HandOuts& hand_outs_;
  OfflineRecovery& recovery_;
  PacketRows& packet_rows_;
  PacketRecovery& packet_recovery_;
  const FeatureHooks& features_;
  SessionParker& parker_;
  DueSessions& due_;
  WaitingActions& waiting_actions_;
  GatewayActions& actions_;
  RecordProcessor& records_;
};

}  // namespace rookery::session_manager
