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

}  // namespace
}  // namespace rookery::search
