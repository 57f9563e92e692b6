#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rookery/app/app.h"
#include "rookery/events/homes.h"
#include "rookery/events/kafka_log.h"
#include "rookery/kafka/consumer.h"
#include "rookery/redis/client.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/server.h"
#include "rookery/sharding/shard_owner.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace rookery::member {

/// The settings of a service that owns the shards of a topic: `shards.*`, `kafka.*`, `redis.*`, `rpc.*`.
struct MemberConfig {
  /// Its instance and topic follow from the service.
  sharding::OwnerOptions shards;
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
  events::Service service;
  std::string consumer_group;
  /// The services that may call it.
  std::vector<std::string> callers;
};

/// The published epochs of a service's shards, for ShardOwner.
sharding::ShardOwner::PublishedEpoch EpochsIn(routing::Registry& registry, std::string service);

/// The surroundings that all services that own shards have in common: Redis, the registry, the log, the
/// shards' owner and the gRPC server, and the order in which these begin and end. Its App calls:
///
///   Connect, makes the service's own parts from what Connect has made, Join; Leave, Close; End.
///
/// I/O thread only.
class Member {
 public:
  Member(app::Process& process, const MemberConfig& config, MemberDescription description);
  ~Member();

  /// Connects to Redis and the log, and makes the topics that are missing. UNAVAILABLE: no broker.
  /// FAILED_PRECONDITION: a setting of the broker's.
  Task<absl::Status> Connect();
  redis::Client& redis() { return *redis_; }
  routing::Registry& registry() { return *registry_; }
  events::KafkaLog& log() { return *log_; }
  sharding::ShardOwner& owner() { return *owner_; }
  const sharding::ShardOwner& owner() const { return *owner_; }

  /// Listens for `services`, announces itself, and then takes shards, for `shards`. Both must live until
  /// End. UNAVAILABLE: the address is in use.
  Task<absl::Status> Join(sharding::ShardService& shards, std::vector<grpc::Service*> services);
  /// Withdraws, hands the shards over, and waits for what is still on its way into the log.
  Task<void> Leave();
  /// Ends the running calls.
  Task<void> Close();
  /// Whether an address of the service's is in a shard that is owned and live here.
  bool IsOwnerOf(std::string_view address) const;
  /// Calls neither services nor shards any more.
  void End();

  /// Empty when ready.
  std::string NotReadyReason() const;

 private:
  app::Process& process_;
  MemberConfig config_;
  MemberDescription description_;
  bool has_joined_ = false;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<routing::Registry> registry_;
  std::unique_ptr<events::KafkaLog> log_;
  std::unique_ptr<sharding::ShardOwner> owner_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace rookery::member
