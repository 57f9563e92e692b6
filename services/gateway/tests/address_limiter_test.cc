#include "domain/address_limiter.h"

#include <gtest/gtest.h>

#include <string>

namespace rookery::gateway {
namespace {

using std::chrono::seconds;

TEST(AddressLimiter, SoManyAMinute_AndTheOthersAreRefused) {
  AddressLimiter limiter(2);
  const SteadyTime now{};
  EXPECT_TRUE(limiter.Allow("a", now));
  EXPECT_TRUE(limiter.Allow("a", now));
  EXPECT_FALSE(limiter.Allow("a", now));
  EXPECT_TRUE(limiter.Allow("b", now));
  EXPECT_FALSE(limiter.Allow("a", now + seconds(29)));
  EXPECT_TRUE(limiter.Allow("a", now + seconds(60)));
}

TEST(AddressLimiter, OfTooManyAddresses_OnlyTheOneNotHeardOfForLongestIsForgotten) {
  AddressLimiter limiter(1, /*max_addresses=*/3);
  const SteadyTime now{};
  for (const char* address : {"attacker", "b", "c"}) EXPECT_TRUE(limiter.Allow(address, now));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(limiter.Allow("attacker", now));
    limiter.Allow("other" + std::to_string(i), now);
  }
  EXPECT_TRUE(limiter.Allow("b", now));
}

TEST(AddressLimiter, Zero_NoLimit) {
  AddressLimiter limiter(0);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter.Allow("a", SteadyTime{}));
}

}  // namespace
}  // namespace rookery::gateway
