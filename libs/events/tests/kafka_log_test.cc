#include "rookery/events/kafka_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery::events {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

TEST(KafkaLog, OfThreeCopiesTwoMustHaveARecord) {
  kafka::Options options;
  for (const int copies : {3, 5}) {
    options.replication_factor = copies;
    const auto topics = TopicsToMake(options, 8);
    EXPECT_EQ(topics.size(), 4u);
    for (const kafka::TopicSpec& topic : topics) {
      EXPECT_EQ(topic.partitions, 8);
      EXPECT_THAT(topic.config, Contains(Pair("min.insync.replicas", "2"))) << topic.name;
    }
  }
}

TEST(KafkaLog, WithFewerCopiesOneBrokerMayBeAway) {
  kafka::Options options;
  for (const int copies : {1, 2}) {
    options.replication_factor = copies;
    for (const kafka::TopicSpec& topic : TopicsToMake(options, 8))
      EXPECT_THAT(topic.config, Not(Contains(Key("min.insync.replicas")))) << topic.name;
  }
}

}  // namespace
}  // namespace rookery::events
