#include "rookery/kafka/in_flight.h"

#include <gtest/gtest.h>

namespace rookery::kafka {
namespace {

constexpr std::size_t kShare = InFlight::kHighWater / InFlight::kShares;

TEST(InFlightTest, CountsWhatIsUnderWay) {
  InFlight in_flight;
  InFlight::Lane a, b;
  in_flight.Add(a, 10);
  in_flight.Add(a, 20);
  in_flight.Add(b, 5);
  EXPECT_EQ(in_flight.records(), 3u);
  EXPECT_EQ(in_flight.bytes(), 35u);
  in_flight.Remove(a, 10);
  in_flight.Remove(b, 5);
  EXPECT_EQ(in_flight.records(), 1u);
  EXPECT_EQ(in_flight.bytes(), 20u);
}

TEST(InFlightTest, APartitionThatStandsStillDoesNotStopTheOthers) {
  InFlight in_flight;
  InFlight::Lane stuck;
  for (std::size_t i = 0; i < 3 * InFlight::kHighWater; ++i) in_flight.Add(stuck, 1'000);
  EXPECT_FALSE(in_flight.is_congested());
  EXPECT_EQ(in_flight.records(), 3 * InFlight::kHighWater);
}

TEST(InFlightTest, TooMuchForAllOfThemIsCongestion_AndEndsWithIt) {
  InFlight in_flight;
  InFlight::Lane lanes[InFlight::kShares + 1];
  for (InFlight::Lane& lane : lanes)
    for (std::size_t i = 0; i < kShare; ++i) in_flight.Add(lane, 1);
  EXPECT_TRUE(in_flight.is_congested());
  for (std::size_t i = 0; i < kShare; ++i) in_flight.Remove(lanes[0], 1);
  EXPECT_FALSE(in_flight.is_congested());
  for (int i = 0; i < 2; ++i)
    in_flight.Add(lanes[1], InFlight::kHighWaterBytes);  // one of five has its share
  EXPECT_FALSE(in_flight.is_congested());
}

TEST(InFlightTest, ManyThatStandStillWhileOthersGoOnCountForHalf) {
  InFlight in_flight;
  InFlight::Lane still[20];
  InFlight::Lane moving[5];
  for (InFlight::Lane& lane : moving) in_flight.Add(lane, 1);
  for (std::size_t i = 0; i < kShare; ++i) {
    for (InFlight::Lane& lane : still) {
      if (in_flight.records() < 3 * InFlight::kHighWater) in_flight.Add(lane, 1);
    }
    for (int n = 0; n < 10; ++n) {
      InFlight::Lane& lane = moving[n % 5];
      in_flight.Add(lane, 1);
      in_flight.Remove(lane, 1);
    }
    ASSERT_FALSE(in_flight.is_congested()) << in_flight.records();
  }
  EXPECT_GT(in_flight.records(), 2 * InFlight::kHighWater);
  // Partitions that go on have the other half.
  for (std::size_t i = 0; i <= InFlight::kHighWater / 2; ++i) in_flight.Add(moving[i % 5], 1);
  EXPECT_TRUE(in_flight.is_congested());
}

TEST(InFlightTest, WhereNothingGoesOnEverythingCounts) {
  InFlight in_flight;
  InFlight::Lane lanes[20];
  for (std::size_t i = 0; i <= InFlight::kHighWater / 20; ++i)
    for (InFlight::Lane& lane : lanes) in_flight.Add(lane, 1);
  EXPECT_TRUE(in_flight.is_congested());
}

TEST(InFlightTest, WhoStoodStillCountsInFullWhenNearlyNothingIsLeft) {
  InFlight in_flight;
  InFlight::Lane still, other;
  for (std::size_t i = 0; i < kShare; ++i) in_flight.Add(still, 1);
  for (std::size_t i = 0; i < 2 * InFlight::kPatience; ++i) {
    in_flight.Add(other, 1);
    in_flight.Remove(other, 1);
  }
  for (std::size_t i = 0; i < kShare; ++i) in_flight.Remove(still, 1);
  EXPECT_EQ(in_flight.records(), 0u);
  InFlight::Lane lanes[InFlight::kShares];
  for (InFlight::Lane& lane : lanes)
    for (std::size_t i = 0; i < kShare; ++i) in_flight.Add(lane, 1);
  EXPECT_FALSE(in_flight.is_congested());
  in_flight.Add(still, 1);
  EXPECT_TRUE(in_flight.is_congested());
}

TEST(InFlightTest, MemoryEndsSomewhere) {
  InFlight in_flight;
  InFlight::Lane stuck;
  for (std::size_t i = 0; i <= InFlight::kMost * InFlight::kHighWater; ++i) in_flight.Add(stuck, 1);
  EXPECT_TRUE(in_flight.is_congested());
}

TEST(InFlightTest, BytesCountAsRecordsDo) {
  InFlight in_flight;
  InFlight::Lane lanes[InFlight::kShares + 1];
  for (InFlight::Lane& lane : lanes) in_flight.Add(lane, InFlight::kHighWaterBytes);
  EXPECT_TRUE(in_flight.is_congested());
  in_flight.Remove(lanes[0], InFlight::kHighWaterBytes);
  EXPECT_FALSE(in_flight.is_congested());
}

}  // namespace
}  // namespace rookery::kafka
