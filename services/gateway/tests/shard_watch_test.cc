#include "domain/shard_watch.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

using std::chrono::seconds;

const SteadyTime kStart = SteadyTime() + std::chrono::hours(1);

TEST(ShardWatch, HasAnOwnerUntilItIsLost) {
  ShardWatch watch;
  EXPECT_FALSE(watch.IsWithoutOwner(kStart, seconds(0)));
  EXPECT_EQ(watch.OutOfReach(kStart), std::nullopt);
  watch.OnDisowned(kStart, kStart);
  EXPECT_FALSE(watch.IsWithoutOwner(kStart + seconds(9), seconds(10)));
  EXPECT_TRUE(watch.IsWithoutOwner(kStart + seconds(10), seconds(10)));
  watch.OnOwned();
  EXPECT_FALSE(watch.IsWithoutOwner(kStart + seconds(10), seconds(10)));
  EXPECT_EQ(watch.OutOfReach(kStart + seconds(10)), std::nullopt);
}

// An owner says that it goes, then its link breaks.
TEST(ShardWatch, LostTwice_TheFirstTimeCounts) {
  ShardWatch watch;
  watch.OnDisowned(kStart, kStart - seconds(3));
  watch.OnDisowned(kStart + seconds(5), kStart + seconds(5));
  EXPECT_TRUE(watch.IsWithoutOwner(kStart + seconds(10), seconds(10)));
  EXPECT_EQ(watch.OutOfReach(kStart + seconds(10)), seconds(13));
  // But not that of an earlier loss.
  watch.OnOwned();
  watch.OnDisowned(kStart + seconds(20), kStart + seconds(20));
  EXPECT_EQ(watch.OutOfReach(kStart + seconds(21)), seconds(1));
}

TEST(ShardWatch, LostForLong_IsLongerThanThat) {
  ShardWatch watch;
  EXPECT_FALSE(watch.WasLostFor(kStart + seconds(10), seconds(0))) << "it was never lost";
  watch.OnDisowned(kStart, kStart);
  EXPECT_FALSE(watch.WasLostFor(kStart + seconds(10), seconds(10)));
  EXPECT_TRUE(watch.WasLostFor(kStart + seconds(11), seconds(10)));
}

TEST(ShardWatch, ClientsWaitFromTheFirstThatIsNotTaken_WhoeverOwnsTheShard) {
  ShardWatch watch;
  watch.OnTaken(kStart);
  EXPECT_FALSE(watch.HasTakenNothing(kStart + seconds(10), seconds(10))) << "nothing was said";
  watch.OnSaid(kStart);
  watch.OnSaid(kStart + seconds(5));
  watch.OnDisowned(kStart + seconds(6), kStart + seconds(6));
  watch.OnOwned();
  EXPECT_FALSE(watch.HasTakenNothing(kStart + seconds(9), seconds(10)));
  EXPECT_TRUE(watch.HasTakenNothing(kStart + seconds(10), seconds(10)));
  watch.OnTaken(kStart + seconds(10));
  EXPECT_FALSE(watch.HasTakenNothing(kStart + seconds(19), seconds(10)));
  EXPECT_TRUE(watch.HasTakenNothing(kStart + seconds(20), seconds(10)));
  watch.OnSettled();
  EXPECT_FALSE(watch.HasTakenNothing(kStart + seconds(20), seconds(10)));
}

TEST(ShardWatch, TimeInWhichTheProcessStoodStillIsNoWaiting_ButTheOwnerWasOutOfReach) {
  ShardWatch watch;
  watch.OnStoodStill(seconds(100));
  EXPECT_FALSE(watch.IsWithoutOwner(kStart, seconds(0)));
  watch.OnDisowned(kStart, kStart);
  watch.OnSaid(kStart);
  watch.OnStoodStill(seconds(100));
  EXPECT_FALSE(watch.IsWithoutOwner(kStart + seconds(109), seconds(10)));
  EXPECT_FALSE(watch.HasTakenNothing(kStart + seconds(109), seconds(10)));
  EXPECT_TRUE(watch.IsWithoutOwner(kStart + seconds(110), seconds(10)));
  EXPECT_TRUE(watch.HasTakenNothing(kStart + seconds(110), seconds(10)));
  EXPECT_EQ(watch.OutOfReach(kStart + seconds(109)), seconds(109));
}

}  // namespace
}  // namespace rookery::gateway
