#include <gtest/gtest.h>

#include <map>
#include <string>

#include "rookery/routing/registry.h"

namespace rookery::routing {
namespace {

std::vector<Instance> Make(int count) {
  std::vector<Instance> instances;
  for (int i = 0; i < count; ++i) instances.push_back({"roster-" + std::to_string(i), "10.0.0.1:1"});
  return instances;
}

TEST(Choose, NobodyThere) { EXPECT_EQ(Choose({}, "a@b"), nullptr); }

TEST(Choose, SpreadsEvenly) {
  const auto instances = Make(5);
  std::map<std::string, int> count;
  for (int i = 0; i < 20'000; ++i)
    ++count[Choose(instances, "user" + std::to_string(i) + "@example.org")->id];
  ASSERT_EQ(count.size(), 5u);
  for (const auto& [id, n] : count) {
    EXPECT_GT(n, 3'700) << id;
    EXPECT_LT(n, 4'300) << id;
  }
}

TEST(Choose, OneThatGoesMovesOnlyItsOwnKeys) {
  const auto all = Make(5);
  auto fewer = all;
  fewer.erase(fewer.begin() + 2);
  for (int i = 0; i < 5'000; ++i) {
    const std::string key = "user" + std::to_string(i);
    const std::string before = Choose(all, key)->id;
    if (before != "roster-2") EXPECT_EQ(Choose(fewer, key)->id, before);
  }
}

TEST(Choose, DoesNotDependOnTheOrder) {
  const auto all = Make(4);
  const std::vector<Instance> reversed(all.rbegin(), all.rend());
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(i);
    EXPECT_EQ(Choose(all, key)->id, Choose(reversed, key)->id);
  }
}

}  // namespace
}  // namespace rookery::routing
