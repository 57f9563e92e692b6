#include "rookery/sharding/follow_ups.h"

#include <gtest/gtest.h>

namespace rookery::sharding {
namespace {

TEST(FollowUps, CountsWhatANewOwnerWouldSayAgain) {
  FollowUps follow_ups;
  for (std::int64_t offset = 0; offset < 10'240; ++offset) {
    follow_ups.Note(offset);
    follow_ups.Note(offset);
  }
  EXPECT_EQ(follow_ups.count(), 20'480u);
  follow_ups.Committed(0);
  EXPECT_EQ(follow_ups.count(), 20'480u);
  follow_ups.Committed(5'120);
  EXPECT_EQ(follow_ups.count(), 10'240u);
  follow_ups.Committed(5'130);
  EXPECT_LE(follow_ups.count(), 10'240u);
  EXPECT_GE(follow_ups.count(), 10'220u);
}

TEST(FollowUps, NoneAreLeftOfWhatIsFinished) {
  FollowUps follow_ups;
  for (int i = 0; i < 100; ++i) follow_ups.Note(7);
  follow_ups.Note(3);
  follow_ups.Committed(7);
  EXPECT_GE(follow_ups.count(), 100u);
  follow_ups.Committed(8);
  EXPECT_EQ(follow_ups.count(), 0u);
  follow_ups.Note(8);
  EXPECT_EQ(follow_ups.count(), 1u);
}

}  // namespace
}  // namespace rookery::sharding
