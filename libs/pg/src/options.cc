#include "rookery/pg/pool.h"

namespace rookery::pg {

void Options::Bind(config::Schema& schema) {
  schema.Bind("pg.connection", &connection, "PostgreSQL: libpq keywords or URI, without the password");
  schema.BindSecret("pg.password", &password, "PostgreSQL: password");
  schema.Bind("pg.connections", &connections, "PostgreSQL: connections of this process", 1, 64);
  schema.Bind("pg.timeout", &timeout, "PostgreSQL: time limit of a statement and of connecting");
}

}  // namespace rookery::pg
