#include "rookery/sharding/failed_steps.h"

#include <gtest/gtest.h>

#include <chrono>

namespace rookery::sharding {
namespace {

using std::chrono::minutes;

TEST(FailedSteps, EachCountsTheLivesThatItHasCost_OnceInALife) {
  FailedSteps failed;
  const SteadyTime now{minutes(100)};
  EXPECT_EQ(failed.most_lives(), 0);
  EXPECT_EQ(failed.Note("one", now), 1);
  EXPECT_EQ(failed.Note("one", now), 1);
  failed.BeginLife(now);
  EXPECT_EQ(failed.Note("one", now), 2);
  EXPECT_EQ(failed.Note("two", now), 1);
  EXPECT_EQ(failed.most_lives(), 2);
}

TEST(FailedSteps, WhatHasNotFailedForLongIsForgiven) {
  FailedSteps failed;
  SteadyTime now{minutes(100)};
  failed.Note("one", now);
  failed.BeginLife(now);
  failed.Note("one", now + minutes(10));
  EXPECT_EQ(failed.most_lives(), 2);
  failed.BeginLife(now + minutes(20));
  EXPECT_EQ(failed.most_lives(), 2);
  EXPECT_EQ(failed.Note("one", now + minutes(31)), 1);
  failed.BeginLife(now + minutes(42));
  EXPECT_EQ(failed.most_lives(), 0);
}

}  // namespace
}  // namespace rookery::sharding
