#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/base/incarnation.h"
#include "rookery/redis/client.h"
#include "rookery/runtime/task.h"

namespace rookery::routing {

struct Instance {
  std::string id;
  std::string address;  // host:port of its gRPC server, or empty (a gateway)
  Incarnation incarnation = {};
  friend bool operator==(const Instance&, const Instance&) = default;
};

/// The owner of a shard, as published.
struct OwnerEntry {
  std::uint32_t shard;
  std::int64_t epoch;
  std::string instance;
  std::string address;
};

/// The registry of processes in Redis: each process announces itself every second with a time to live of
/// five, and reads the others as often. Everything in Redis is announced again, so a Redis that was emptied
/// fills itself; while Redis is away it is tried ten times a second, and the last known instances stay. I/O
/// thread only.
///
/// The later started of two processes of one name has it; the other one is told so and is to end.
///
/// Keys: sorted set `rookery:instances:<service>`: members `<id> <address>` and
/// `<id>@<incarnation>`, score the time in ms when they expire; hash
/// `rookery:shards:<service>`: `<shard>` -> `<epoch> <id> <address>`.
class Registry {
 public:
  static std::unique_ptr<Registry> Create(asio::io_context& io, redis::Client& redis);
  virtual ~Registry() = default;

  /// Announces this process until Withdraw, and takes its name over from any that has it. When
  /// a newer process has taken the name, `on_replaced` is called, once, with ABORTED and a line
  /// that says so, and nothing is announced any more. `self.incarnation` is ignored.
  virtual void Announce(std::string service, Instance self,
                        std::function<void(const absl::Status& why)> on_replaced) = 0;
  /// Whether Redis has taken it once: from then on others find this process, also while Redis is away.
  virtual bool is_announced() const = 0;
  /// Which life of its name this process is. The first announcement may raise it, where an
  /// earlier process of the name ran on a clock that is ahead of ours.
  virtual const Incarnation& incarnation() const = 0;
  /// Removes this process from Redis, unless a newer one has its name: others stop choosing it.
  virtual Task<void> Withdraw() = 0;
  /// Watches a service; `on_change` is called whenever its instances change.
  virtual void Watch(std::string service, std::function<void(const std::vector<Instance>&)> on_change) = 0;
  /// As of the last reading. Sorted by id.
  virtual const std::vector<Instance>& Instances(std::string_view service) const = 0;
  /// Whether nobody can be missing: it has been read for longer than all need to announce
  /// themselves again to a Redis that was emptied.
  virtual bool is_complete(std::string_view service) const = 0;

  /// Publishes what this process owns of the announced service's shards, now and with
  /// each announcement. A higher epoch in Redis is never overwritten.
  virtual void PublishShards(std::map<std::uint32_t, std::int64_t> epochs) = 0;
  /// The owners as published last: one that was killed stays until the next one publishes.
  /// UNAVAILABLE: Redis is away.
  virtual Task<absl::StatusOr<std::vector<OwnerEntry>>> ReadShards(std::string service) = 0;
};

/// The instance among `instances` that serves `key`: rendezvous hashing, so that a
/// change moves only the keys of the instance that came or went. nullptr when empty.
const Instance* Choose(const std::vector<Instance>& instances, std::string_view key);

}  // namespace rookery::routing
