#pragma once

#include <chrono>

#include "rookery/config/config.h"
#include "rookery/pg/pool.h"
#include "rookery/redis/client.h"
#include "rookery/rpc/server.h"

namespace rookery::roster {

struct Config {
  redis::Options redis;
  pg::Options pg;
  rpc::ServerOptions rpc;
  std::chrono::milliseconds answers_kept_for{86'400'000};

  void Bind(config::Schema& schema) {
    redis.Bind(schema);
    pg.Bind(schema);
    rpc.Bind(schema);
    schema.Bind(
        "answers.kept-for", &answers_kept_for,
        "how long the answer to a change is given again to the same request; longer than Kafka may be "
        "away, and than `shards.duplicate-horizon`");
  }
  void Validate(config::Problems& problems) const {
    if (answers_kept_for < std::chrono::seconds(1)) problems.Add("answers.kept-for", "must be at least 1s");
    redis.Validate(problems);
    pg.Validate(problems);
    rpc.Validate(problems);
  }
  void CheckFiles(config::Problems& problems) const {
    pg.CheckFiles(problems);
    rpc.tls.CheckFiles(problems);
  }
};

}  // namespace rookery::roster
