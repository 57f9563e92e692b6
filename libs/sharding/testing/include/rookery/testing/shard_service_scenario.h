#pragma once

#include <string>

namespace rookery::testing {

/// A service made of sharding::Member, and what is to be seen of it from outside.
struct ShardService {
  std::string name;       // "muc"
  std::string binary;     // the program
  std::string topic;      // "rooms"
  std::string component;  // "conference.example.org"
  std::string category;   // of its disco identity
  std::string type;
};

/// Real processes of it, with a real Redis and Kafka. GoogleTest failures. In order: two
/// share the shards and publish which; health, readiness, metrics and gRPC answer; only the
/// owner of the component's shard answers disco; an emptied Redis is filled again; one is
/// killed, and the other takes over its shards and reads on where it had committed;
/// SIGTERM drains.
void RunShardServiceScenario(const ShardService& service);

}  // namespace rookery::testing
