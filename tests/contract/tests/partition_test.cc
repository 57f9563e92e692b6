// Anybody's Kafka client finds a user's partition: ours computes what Kafka's own do.
#include "rookery/events/partition.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <random>
#include <string>

namespace rookery::contract {
namespace {

struct Known {
  const char* key;
  std::int32_t murmur2;
  std::uint32_t of_4, of_8, of_1000;
};

// Printed by Apache Kafka's Java client 4.1.1: Utils.murmur2 and
// BuiltInPartitioner.partitionForKey of the key in UTF-8.
constexpr Known kKnown[] = {
    {"juliet@example.org", -427044819, 1, 5, 829},
    {"romeo@example.net", 597347193, 1, 1, 193},
    {"conference.localhost", 966196082, 2, 2, 82},
    {"search.localhost", 2035831081, 1, 1, 81},
    {"room@conference.localhost", -546079867, 1, 5, 781},
    {"a@b", 1887261869, 1, 5, 869},
    {"ann@localhost", -1566506435, 1, 5, 213},
    {"bob@localhost", -91542426, 2, 6, 222},
    {"m\xc3\xbcller@b\xc3\xbc"
     "cher.example",
     -16530780, 0, 4, 868},
    {"\xe6\x96\x87\xe5\xad\x97@\xe4\xbe\x8b.example", -866518893, 3, 3, 755},
    {"nurse@xn--bcher-kva.example", 660656436, 0, 4, 436},
    {"x@[2001:db8::1]", 855373359, 3, 7, 359},
};

TEST(Partition, AgreesWithKafkasJavaClient) {
  for (const Known& known : kKnown) {
    EXPECT_EQ(static_cast<std::int32_t>(events::Murmur2(known.key)), known.murmur2) << known.key;
    EXPECT_EQ(events::PartitionOf(known.key, 4), known.of_4) << known.key;
    EXPECT_EQ(events::PartitionOf(known.key, 8), known.of_8) << known.key;
    EXPECT_EQ(events::PartitionOf(known.key, 1'000), known.of_1000) << known.key;
  }
}

TEST(Partition, AgreesWithLibrdkafka) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string key(random() % 80, '\0');
    for (char& c : key) c = static_cast<char>(random());
    const auto count = static_cast<std::int32_t>(1 + random() % 5'000);
    ASSERT_EQ(static_cast<std::int32_t>(events::PartitionOf(key, static_cast<std::uint32_t>(count))),
              rd_kafka_msg_partitioner_murmur2(nullptr, key.data(), key.size(), count, nullptr, nullptr));
  }
}

}  // namespace
}  // namespace rookery::contract
