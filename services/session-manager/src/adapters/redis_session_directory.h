#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ports/session_directory.h"
#include "rookery/redis/client.h"

namespace rookery::session_manager {

/// One hash for each shard, `rookery:sessions:{<shard>}`: full JID -> `<since in ms> <this
/// session-manager> <gateway, or - while the client is away> <session id in hex> <resumptions>
/// <"available" or ->`, and `owner` -> `<epoch> <session-manager>`. The braces keep a shard's keys in one
/// slot of a Redis Cluster. A hash that nobody writes to any more expires.
class RedisSessionDirectory final : public SessionDirectory {
 public:
  RedisSessionDirectory(redis::Client& redis, std::string instance)
      : redis_(redis), instance_(std::move(instance)) {}

  Task<absl::StatusOr<Written>> Write(Changes changes) override;
  Task<absl::StatusOr<std::vector<Entry>>> Read(std::uint32_t shard) override;

 private:
  redis::Client& redis_;
  const std::string instance_;
};

}  // namespace rookery::session_manager
