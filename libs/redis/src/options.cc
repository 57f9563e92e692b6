#include "rookery/redis/client.h"

namespace rookery::redis {

void Options::Bind(config::Schema& schema) {
  schema.Bind("redis.addresses", &addresses, "Redis: host:port of the node, or of some nodes of a cluster");
  schema.Bind("redis.cluster", &cluster, "Redis: the addresses are nodes of a Redis Cluster");
  schema.Bind("redis.user", &user, "Redis: user of its access control list; empty: the default user");
  schema.BindSecret("redis.password", &password, "Redis: password");
  schema.Bind("redis.timeout", &timeout, "Redis: time limit of a command and of connecting");
}

void Options::Validate(config::Problems& problems) const {
  if (addresses.empty()) problems.Add("redis.addresses", "must name at least one address");
  if (!user.empty() && password.empty()) problems.Add("redis.password", "is needed with `redis.user`");
}

}  // namespace rookery::redis
