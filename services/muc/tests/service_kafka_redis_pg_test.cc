#include <gtest/gtest.h>

#include "rookery/testing/postgres_server.h"
#include "rookery/testing/shard_service_scenario.h"

namespace rookery::muc {
namespace {

class MucServiceTest : public ::testing::Test {
 protected:
  testing::ShardService Service() const {
    return {.name = "muc",
            .binary = ROOKERY_MUC_BINARY,
            .topic = "rooms",
            .configuration = "pg: {connection: \"" + postgres_.connection() + "\"}\n"};
  }

 private:
  const testing::PostgresServer postgres_;
};

TEST_F(MucServiceTest, SharesItsShardsTakesOverAndDrains) { testing::RunShardServiceScenario(Service()); }

TEST_F(MucServiceTest, AFrozenOwnerAppliesNothingOfWhatIsNotItsOwnAnyMore) {
  testing::RunFrozenOwnerScenario(Service());
}

}  // namespace
}  // namespace rookery::muc
