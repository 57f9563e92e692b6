#pragma once

#include "rookery/config/config.h"
#include "rookery/pg/pool.h"
#include "rookery/redis/client.h"
#include "rookery/rpc/server.h"

namespace rookery::roster {

struct Config {
  redis::Options redis;
  pg::Options pg;
  rpc::ServerOptions rpc;

  void Bind(config::Schema& schema) {
    redis.Bind(schema);
    pg.Bind(schema);
    rpc.Bind(schema);
  }
  absl::Status Validate() const { return absl::OkStatus(); }
};

}  // namespace rookery::roster
