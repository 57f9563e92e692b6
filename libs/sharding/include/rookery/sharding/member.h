#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "rookery/app/app.h"
#include "rookery/events/kafka_log.h"
#include "rookery/kafka/consumer.h"
#include "rookery/redis/client.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/server.h"
#include "rookery/sharding/disco_desk.h"
#include "rookery/sharding/shard_owner.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace rookery::sharding {

/// What a service that owns the shards of a topic must be told: `kafka.*`, `redis.*`, `rpc.*`.
struct MemberConfig {
  kafka::Options kafka;
  std::int64_t partitions = 8;
  redis::Options redis;
  rpc::ServerOptions rpc;
  void Bind(config::Schema& schema);
  void Validate(config::Problems& problems) const;
  void CheckFiles(config::Problems& problems) const;
};

/// Which service, and what it owns.
struct MemberDescription {
  std::string service;  // its name in the registry, and the consumer group's
  events::Topic topic = events::Topic::kRooms;
  std::unique_ptr<ShardService> shards;
  /// What it says of itself (XEP-0030).
  disco::v1::GetDiscoInfoResponse info;
};

/// The published epochs of a service's shards, for ShardOwner.
ShardOwner::PublishedEpoch EpochsIn(routing::Registry& registry, std::string service);

/// The part that services like muc and search have in common: a member of the cluster
/// that owns shards of one topic, publishes which, is found by others through the registry,
/// and answers gRPC: disco, health, reflection. Made and used by the service's App, I/O
/// thread only.
class Member {
 public:
  Member(app::Process& process, const MemberConfig& config, MemberDescription description);
  ~Member();

  /// Makes the topics that are missing, listens, joins the group, announces itself.
  /// UNAVAILABLE: no broker, or the address is in use. FAILED_PRECONDITION: a setting of the broker's.
  Task<absl::Status> Start();
  /// Withdraws, gives the shards back, ends the running calls.
  Task<void> Stop();
  /// Empty when ready.
  std::string NotReadyReason() const;

 private:
  app::Process& process_;
  MemberConfig config_;
  MemberDescription description_;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<routing::Registry> registry_;
  std::unique_ptr<events::KafkaLog> log_;
  std::unique_ptr<ShardOwner> owner_;
  std::unique_ptr<DiscoDesk> disco_;
  std::unique_ptr<grpc::Service> disco_rpc_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace rookery::sharding
