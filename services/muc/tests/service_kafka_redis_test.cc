#include <gtest/gtest.h>

#include "rookery/testing/shard_service_scenario.h"

namespace rookery::muc {
namespace {

TEST(MucServiceTest, SharesItsShardsTakesOverAndDrains) {
  testing::RunShardServiceScenario({.name = "muc",
                                    .binary = ROOKERY_MUC_BINARY,
                                    .topic = "rooms",
                                    .component = "conference.example.org",
                                    .category = "conference",
                                    .type = "text"});
}

TEST(MucServiceTest, AFrozenOwnerAppliesNothingOfWhatIsNotItsOwnAnyMore) {
  testing::RunFrozenOwnerScenario({.name = "muc", .binary = ROOKERY_MUC_BINARY, .topic = "rooms"});
}

}  // namespace
}  // namespace rookery::muc
