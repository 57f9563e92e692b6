#pragma once

#include <string>

namespace rookery::testing {

/// A service that owns shards, and what is to be seen of it from outside.
struct ShardService {
  std::string name;                // "muc"
  std::string binary;              // the program
  std::string topic;               // "rooms"
  std::string configuration = {};  // YAML beside what every such service needs
  std::string component = {};      // "conference.example.org", or nothing: it answers no disco
  std::string category = {};       // of its disco identity
  std::string type = {};
};

/// For any service with shards. Real processes of it, with a real Redis and Kafka. GoogleTest
/// failures. In order: two share the shards and publish which; health, readiness, metrics and gRPC answer;
/// only the owner of the component's shard answers disco; an emptied Redis is filled again; one is killed,
/// and the other takes over its shards and reads on where it had committed; SIGTERM drains.
void RunShardServiceScenario(const ShardService& service);

/// For any service with shards. One of two processes is frozen while its shards move and their
/// records are applied: when it wakes up it applies nothing of what was not its own any more.
void RunFrozenOwnerScenario(const ShardService& service);

}  // namespace rookery::testing
