#include "rookery/base/backoff_delays.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <vector>

#include "rookery/base/random.h"

namespace rookery {
namespace {

using std::chrono::milliseconds;

TEST(BackoffDelays, DoubleUpToTheLongestAndBeginAgainAfterASuccess) {
  BackoffDelays delays({.first = milliseconds(100), .max = milliseconds(350), .jitter = 0});
  EXPECT_EQ(delays.Next(), milliseconds(100));
  EXPECT_EQ(delays.Next(), milliseconds(200));
  EXPECT_EQ(delays.Next(), milliseconds(350));
  EXPECT_EQ(delays.Next(), milliseconds(350));
  EXPECT_EQ(delays.failures(), 4);
  delays.Reset();
  EXPECT_EQ(delays.failures(), 0);
  EXPECT_EQ(delays.Next(), milliseconds(100));
}

TEST(BackoffDelays, TheRandomPartShortensOnlyAndSpreads) {
  BackoffDelays delays({.first = milliseconds(1000), .max = milliseconds(1000), .jitter = 0.5});
  std::set<milliseconds> seen;
  for (int i = 0; i < 100; ++i) seen.insert(delays.Next());
  EXPECT_GE(*seen.begin(), milliseconds(500));
  EXPECT_LE(*seen.rbegin(), milliseconds(1000));
  EXPECT_GT(seen.size(), 50u);
}

TEST(BackoffDelays, AreNeverNothing) {
  BackoffDelays delays({.first = milliseconds(1), .max = milliseconds(1), .jitter = 1});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(delays.Next(), milliseconds(1));
}

TEST(Random, FollowsFromItsSeedInTests) {
  const auto draw = [] {
    SeedRandomForTest(42);
    return std::vector<std::string>{RandomBytes(13), RandomToken(9), std::to_string(RandomU64())};
  };
  const auto first = draw();
  EXPECT_EQ(draw(), first);
  SeedRandomForTest(43);
  EXPECT_NE(RandomBytes(13), first[0]);
  SeedRandomForTest(std::nullopt);
  EXPECT_NE(RandomU64(), RandomU64());
}

}  // namespace
}  // namespace rookery
