#include "domain/standstill.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SteadyTime kStart = SteadyTime() + std::chrono::hours(1);
constexpr seconds kGrace{5};

/// Began at `kStart`, and knows how long sessions outlive a link.
class StandstillRules : public ::testing::Test {
 protected:
  StandstillRules() { standstill_.Learn(kGrace, seconds(120)); }
  Standstill standstill_{kStart};
};

TEST_F(StandstillRules, IsNothingBeforeSomethingIsKnown) {
  Standstill ignorant(kStart);
  EXPECT_EQ(ignorant.Notice(kStart + seconds(1000)), seconds(0));
  EXPECT_FALSE(ignorant.IsAftermath(kStart + seconds(1000)));
  EXPECT_FALSE(ignorant.IsTooLong(seconds(1000)));
  EXPECT_EQ(ignorant.LastTouch(kStart + seconds(1000)), kStart + seconds(1000));
}

TEST_F(StandstillRules, IsLongerThanSessionsOutliveALink) {
  EXPECT_EQ(standstill_.Notice(kStart + kGrace), seconds(0));
  EXPECT_FALSE(standstill_.IsAftermath(kStart + kGrace));
  const SteadyTime end = kStart + 2 * kGrace + milliseconds(1);
  EXPECT_EQ(standstill_.Notice(end), kGrace + milliseconds(1));
  EXPECT_TRUE(standstill_.IsAftermath(end));
  EXPECT_EQ(standstill_.Notice(end), seconds(0)) << "it is told once";
}

TEST_F(StandstillRules, AShortPauseIsNone_HoweverSoonSessionsEnd) {
  standstill_.Learn(milliseconds(100), {});
  EXPECT_EQ(standstill_.Notice(kStart + Standstill::kLeast), seconds(0));
  EXPECT_EQ(standstill_.Notice(kStart + 2 * Standstill::kLeast + milliseconds(1)),
            Standstill::kLeast + milliseconds(1));
}

TEST_F(StandstillRules, WhatIsNotSaidChangesNothing) {
  standstill_.Learn({}, {});
  EXPECT_EQ(standstill_.link_grace(), kGrace);
  EXPECT_FALSE(standstill_.IsTooLong(seconds(60)));
  EXPECT_TRUE(standstill_.IsTooLong(seconds(60) + milliseconds(1)));
}

TEST_F(StandstillRules, ALinkMayHaveBrokenInIt_ForAWhile) {
  const SteadyTime end = kStart + seconds(30);
  standstill_.Notice(end);
  const SteadyTime last = end + Standstill::kAftermath - milliseconds(1);
  EXPECT_EQ(standstill_.LastTouch(end), kStart);
  EXPECT_EQ(standstill_.LastTouch(last), kStart);
  EXPECT_EQ(standstill_.LastTouch(last + milliseconds(1)), last + milliseconds(1));
}

TEST_F(StandstillRules, TwoInARowAreOne) {
  EXPECT_EQ(standstill_.Notice(kStart + seconds(30)), seconds(30));
  standstill_.Notice(kStart + seconds(31));
  EXPECT_EQ(standstill_.Notice(kStart + seconds(60)), seconds(29)) << "each has its own length";
  EXPECT_EQ(standstill_.LastTouch(kStart + seconds(69)), kStart);
  EXPECT_FALSE(standstill_.IsAftermath(kStart + seconds(70)));
}

TEST_F(StandstillRules, OneWellBehindAnotherIsItsOwn) {
  const SteadyTime end = kStart + seconds(30);
  standstill_.Notice(end);
  for (int i = 1; i <= 10; ++i) standstill_.Notice(end + seconds(i));
  EXPECT_EQ(standstill_.Notice(end + seconds(40)), seconds(30));
  EXPECT_EQ(standstill_.LastTouch(end + seconds(41)), end + seconds(10));
}

}  // namespace
}  // namespace rookery::gateway
