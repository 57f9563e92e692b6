#include <gtest/gtest.h>

#include "rookery/testing/postgres_server.h"
#include "rookery/testing/shard_service_scenario.h"

namespace rookery::session_manager {
namespace {

TEST(SessionManagerServiceTest, AFrozenOwnerAppliesNothingOfWhatIsNotItsOwnAnyMore) {
  const testing::PostgresServer postgres;
  testing::RunFrozenOwnerScenario(
      {.name = "session-manager",
       .binary = ROOKERY_SESSION_MANAGER_BINARY,
       .topic = "users",
       .configuration = "domains: [localhost]\npg: {connection: \"" + postgres.connection() + "\"}\n"});
}

}  // namespace
}  // namespace rookery::session_manager
