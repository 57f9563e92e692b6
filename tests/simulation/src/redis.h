#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "rookery/redis/client.h"
#include "world.h"

namespace rookery::simulation {

/// The data that Redis holds for our scripts: everything is announced again, so emptying it is a fault and no
/// loss.
struct RedisData {
  std::map<std::string, std::map<std::string, std::int64_t>> sorted_sets;  // key -> member -> score
  std::map<std::string, std::map<std::string, std::string>> hashes;        // key -> field -> value

  void Clear() {
    sorted_sets.clear();
    hashes.clear();
  }
};

/// redis::Client of one process. It knows the scripts of libs/routing and of the session directory
/// (libs/routing/src/scripts.cc, redis_session_directory.cc) and does what they do.
std::unique_ptr<redis::Client> MakeRedisClient(World& world, Process& process, Process& redis,
                                               RedisData& data);

}  // namespace rookery::simulation
