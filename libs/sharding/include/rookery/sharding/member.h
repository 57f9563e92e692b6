#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "rookery/app/app.h"
#include "rookery/kafka/consumer.h"
#include "rookery/kafka/producer.h"
#include "rookery/redis/client.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/server.h"
#include "rookery/sharding/disco_desk.h"
#include "rookery/sharding/shard_consumer.h"

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
  absl::Status Validate() const;
};

/// Which service, and what it reads.
struct MemberDescription {
  std::string service;  // its name in the registry, and the consumer group's
  std::string topic;
  Start start = Start::kEnd;
  /// Called for every record of the shards that this process owns.
  std::function<void(const kafka::Record&)> on_record;
  /// What it says of itself (XEP-0030).
  disco::v1::GetDiscoInfoResponse info;
};

/// The part that services like muc and search have in common: a member of the cluster
/// that owns shards of one topic, publishes which, is found by others through the registry,
/// and answers gRPC: disco, health, reflection. Made and used by the service's App, I/O
/// thread only.
class Member {
 public:
  Member(app::Process& process, const MemberConfig& config, MemberDescription description);
  ~Member();

  /// Makes the topic if it is missing, listens, joins the group, announces itself.
  /// UNAVAILABLE: no broker, or the address is in use.
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
  std::unique_ptr<ShardConsumer> shards_;
  std::unique_ptr<DiscoDesk> disco_;
  std::unique_ptr<grpc::Service> disco_rpc_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace rookery::sharding
