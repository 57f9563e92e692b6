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
