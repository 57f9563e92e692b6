#include "rookery/redis/client.h"

namespace rookery::redis {

void Options::Bind(config::Schema& schema) {
  schema.Bind("redis.addresses", &addresses, "Redis: host:port of the node, or of some nodes of a cluster");
  schema.Bind("redis.cluster", &cluster, "Redis: the addresses are nodes of a Redis Cluster");
  schema.BindSecret("redis.password", &password, "Redis: password");
  schema.Bind("redis.timeout", &timeout, "Redis: time limit of a command and of connecting");
}

void Options::Validate(config::Problems& problems) const {
  if (addresses.empty()) problems.Add("redis.addresses", "must name at least one address");
}

}  // namespace rookery::redis
