#include <gtest/gtest.h>

#include "rookery/testing/shard_service_scenario.h"

namespace rookery::search {
namespace {

TEST(SearchServiceTest, SharesItsShardsTakesOverAndDrains) {
  testing::RunShardServiceScenario({.name = "search",
                                    .binary = ROOKERY_SEARCH_BINARY,
                                    .topic = "messages",
                                    .component = "search.example.org",
                                    .category = "directory",
                                    .type = "user"});
}

TEST(SearchServiceTest, AFrozenOwnerAppliesNothingOfWhatIsNotItsOwnAnyMore) {
  testing::RunFrozenOwnerScenario({.name = "search", .binary = ROOKERY_SEARCH_BINARY, .topic = "messages"});
}

}  // namespace
}  // namespace rookery::search
