#include "rookery/sharding/record_shards.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "rookery/events/v1/message_event.pb.h"

namespace rookery::sharding {
namespace {

using Shards = RecordShards<events::v1::MessageEvent>;

std::string EventOf(const std::string& owner) {
  events::v1::MessageEvent event;
  event.set_owner(owner);
  return event.SerializeAsString();
}

std::shared_ptr<const Shards::Read> Read(Shards& shards, const std::string& value) {
  return std::static_pointer_cast<const Shards::Read>(shards.Parse(value).record);
}

TEST(RecordShards, ARecordThatIsKeptStaysWhatItWas) {
  Shards shards;
  const auto kept = Read(shards, EventOf("a@localhost"));
  const auto next = Read(shards, EventOf("b@localhost"));
  EXPECT_EQ(kept->body.owner(), "a@localhost");
  EXPECT_EQ(next->body.owner(), "b@localhost");
}

TEST(RecordShards, NothingOfTheLastRecordIsInTheNext) {
  Shards shards;
  ASSERT_NE(Read(shards, EventOf("a@localhost")), nullptr);
  events::v1::MessageEvent fence;
  fence.mutable_fence()->set_shard(1);
  const auto next = Read(shards, fence.SerializeAsString());
  EXPECT_EQ(next->body.SerializeAsString(), fence.SerializeAsString());
}

// Shown to a filter it would be the word of an owner that nobody knows.
TEST(RecordShards, ARecordWithoutOriginHasNone) {
  Shards shards;
  EXPECT_EQ(shards.Parse(EventOf("a@localhost")).origin, nullptr);
  events::v1::MessageEvent event;
  event.mutable_origin()->set_shard(3);
  const auto parsed = shards.Parse(event.SerializeAsString());
  ASSERT_NE(parsed.origin, nullptr);
  EXPECT_EQ(parsed.origin->shard(), 3u);
}

TEST(RecordShards, WhatCannotBeReadIsNoRecord_AndTheNextOneIs) {
  Shards shards;
  EXPECT_EQ(Read(shards, "\x0a\x7f"), nullptr);
  EXPECT_EQ(Read(shards, EventOf("a@localhost"))->body.owner(), "a@localhost");
}

}  // namespace
}  // namespace rookery::sharding
