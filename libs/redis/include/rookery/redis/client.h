#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/config/config.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::redis {

/// A reply of RESP2. An error reply of a command is a Status, never a Reply.
struct Reply {
  enum class Type { kNil, kText, kInteger, kArray };
  Type type = Type::kNil;
  std::string text;
  std::int64_t integer = 0;
  std::vector<Reply> array;
};

struct Options {
  /// host:port each. One that is a single node, or seeds of a Redis Cluster.
  std::vector<std::string> addresses{"127.0.0.1:6379"};
  bool cluster = false;
  /// A user of Redis's access control list; empty: the default user.
  std::string user;
  std::string password;
  std::chrono::milliseconds timeout{2'000};
  /// Commands waiting for a reply, over all nodes; beyond it RESOURCE_EXHAUSTED.
  std::size_t max_waiting = 20'000;
  void Validate(config::Problems& problems) const;
  void Bind(
      config::Schema& schema);  // redis.addresses, redis.cluster, redis.user, redis.password, redis.timeout
};

/// Redis, asynchronously, over hiredis; a single node or a Redis Cluster (slot map,
/// MOVED, ASK). Connects on its own and again after a loss, with backoff. Commands
/// given within one turn of the loop are pipelined. I/O thread only. Create makes the
/// process ignore SIGPIPE: hiredis writes with write(2).
class Client {
 public:
  static std::unique_ptr<Client> Create(asio::io_context& io, Options options, telemetry::Metrics& metrics);
  virtual ~Client() = default;

  /// Suspends until the reply. UNAVAILABLE: no connection, or it broke (the command may
  /// or may not have run); DEADLINE_EXCEEDED; FAILED_PRECONDITION: an error reply, with
  /// its text. In a cluster the node is found by `key`.
  virtual Task<absl::StatusOr<Reply>> Command(std::string key, std::vector<std::string> arguments) = 0;
  /// EVALSHA with EVAL as fallback; `script` must live forever. One key. A script that says that it writes
  /// nothing (`#!lua flags=no-writes`) is called so that its caller needs no right to write.
  virtual Task<absl::StatusOr<Reply>> Eval(const char* script, std::string key,
                                           std::vector<std::string> arguments) = 0;
  /// A single node: connected. A cluster: the slots are known, and every node that owns
  /// one is connected.
  virtual bool is_connected() const = 0;
};

}  // namespace rookery::redis
