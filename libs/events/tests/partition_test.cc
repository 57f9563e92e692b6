#include "rookery/events/partition.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>

namespace rookery::events {
namespace {

// The vectors of Kafka's own UtilsTest.testMurmur2.
TEST(Partition, Murmur2AgreesWithKafka) {
  const auto murmur2 = [](std::string_view key) { return static_cast<std::int32_t>(Murmur2(key)); };
  EXPECT_EQ(murmur2("21"), -973932308);
  EXPECT_EQ(murmur2("foobar"), -790332482);
  EXPECT_EQ(murmur2("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(murmur2("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(murmur2("abc"), 479470107);
}

TEST(Partition, IsWithinTheCountAndSpreads) {
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t partition = PartitionOf("user" + std::to_string(i) + "@localhost", 8);
    ASSERT_LT(partition, 8u);
    seen.insert(partition);
  }
  EXPECT_EQ(seen.size(), 8u);
  EXPECT_EQ(PartitionOf("anything@localhost", 1), 0u);
}

}  // namespace
}  // namespace rookery::events
