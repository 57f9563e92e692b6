#include "rookery/base/deadline.h"

#include <gtest/gtest.h>

#include <chrono>

namespace rookery {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

const SteadyTime kNow{hours(1)};

TEST(Deadline, ExpiresAtItsMomentAndNotBefore) {
  const Deadline deadline = Deadline::After(milliseconds(10), kNow);
  EXPECT_FALSE(deadline.IsExpired(kNow + milliseconds(9)));
  EXPECT_TRUE(deadline.IsExpired(kNow + milliseconds(10)));
  EXPECT_EQ(deadline.Remaining(kNow), milliseconds(10));
  EXPECT_EQ(deadline.Remaining(kNow + milliseconds(11)), milliseconds(0));
}

TEST(Deadline, WhoWaitsForWhatRemainsFindsItExpired) {
  const Deadline deadline = Deadline::After(microseconds(1500), kNow);
  EXPECT_EQ(deadline.Remaining(kNow), milliseconds(2));
}

TEST(Deadline, NeverDoesNotExpire) {
  EXPECT_FALSE(Deadline::Never().IsExpired(SteadyTime::max()));
  EXPECT_EQ(Deadline::Never().Remaining(kNow), milliseconds::max());
  EXPECT_TRUE(Deadline::After(SteadyTime::duration::max(), kNow).is_never());
}

}  // namespace
}  // namespace rookery
