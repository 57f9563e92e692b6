#include <gtest/gtest.h>

#include "rookery/testing/postgres_server.h"
#include "rookery/testing/shard_service_scenario.h"

namespace rookery::session_manager {
namespace {

class SessionManagerServiceTest : public ::testing::Test {
 protected:
  testing::ShardService Service() const {
    return {.name = "session-manager",
            .binary = ROOKERY_SESSION_MANAGER_BINARY,
            .topic = "users",
            .configuration = "domains: [localhost]\npg: {connection: \"" + postgres_.connection() + "\"}\n"};
  }

 private:
  const testing::PostgresServer postgres_;
};

TEST_F(SessionManagerServiceTest, SharesItsShardsTakesOverAndDrains) {
  testing::RunShardServiceScenario(Service());
}

TEST_F(SessionManagerServiceTest, AFrozenOwnerAppliesNothingOfWhatIsNotItsOwnAnyMore) {
  testing::RunFrozenOwnerScenario(Service());
}

}  // namespace
}  // namespace rookery::session_manager
