#include "rookery/sharding/fanout.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rookery::sharding {
namespace {

struct Said {
  std::uint32_t partition;
  std::uint32_t part;
  std::vector<std::string> recipients;
  bool operator==(const Said&) const = default;
};

std::vector<Said> Split(std::vector<Recipient> recipients, std::uint32_t part, std::uint32_t& highest) {
  std::vector<Said> said;
  highest = SplitFanout(recipients, part, [&](const FanoutRecord& record) {
    said.push_back({record.partition, record.part, {}});
    for (const Recipient& recipient : record.recipients)
      said.back().recipients.emplace_back(recipient.address);
  });
  return said;
}

TEST(Fanout, IsOneRecordForEachPartition_WhateverTheOrderOfTheRecipients) {
  std::uint32_t highest = 0;
  const std::vector<Said> said = Split({{2, "c@x"}, {0, "b@x"}, {2, "a@x"}, {0, "d@x"}}, 7, highest);
  const std::vector<Said> expected{{0, 8, {"b@x", "d@x"}}, {2, 8, {"a@x", "c@x"}}};
  EXPECT_EQ(said, expected);
  EXPECT_EQ(highest, 8u);
}

TEST(Fanout, OfNobodyIsNothing) {
  std::uint32_t highest = 0;
  EXPECT_TRUE(Split({}, 7, highest).empty());
  EXPECT_EQ(highest, 7u);
}

TEST(Fanout, ARecordThatIsFullIsFollowedByAnother_AndEachPartitionIsNumberedAlike) {
  const std::string large(kFanoutBytes / 2, 'a');
  std::uint32_t highest = 0;
  const std::vector<Said> said =
      Split({{1, large}, {1, large}, {1, "b@x"}, {3, "c@x"}, {4, large}, {4, large}, {4, large}}, 0, highest);
  const std::vector<Said> expected{
      {1, 1, {large, large}}, {1, 2, {"b@x"}}, {3, 1, {"c@x"}}, {4, 1, {large, large}}, {4, 2, {large}}};
  EXPECT_EQ(said, expected);
  EXPECT_EQ(highest, 2u);
}

TEST(Fanout, WhatAPartitionIsToldDoesNotDependOnTheOthers) {
  std::uint32_t highest = 0;
  const std::vector<Said> both = Split({{1, "a@x"}, {5, "b@x"}}, 3, highest);
  const std::vector<Said> alone = Split({{5, "b@x"}}, 3, highest);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[1], alone.at(0));
}

TEST(Fanout, OfAStanza_EachRecordSaysItToItsRecipients_AndTheStanzaStaysWhoseItWas) {
  xmpp::Stanza stanza;
  stanza.set_id("m1");
  std::vector<Recipient> recipients{{2, "c@x"}, {0, "b@x"}, {2, "a@x"}};
  std::vector<events::v1::UserRecord> said;
  std::vector<FanoutRecord> places;
  const std::uint32_t highest =
      SplitFanout(recipients, 7, stanza, [&](const FanoutRecord& some, events::v1::UserRecord& record) {
        places.push_back(some);
        EXPECT_TRUE(said.emplace_back().ParseFromString(record.SerializeAsString()));
      });
  EXPECT_EQ(highest, 8u);
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(places[0].partition, 0u);
  EXPECT_EQ(places[1].partition, 2u);
  EXPECT_EQ(places[1].part, 8u);
  for (const auto& record : said) EXPECT_EQ(record.fanout().stanza().id(), "m1");
  EXPECT_EQ(
      std::vector<std::string>(said[0].fanout().recipients().begin(), said[0].fanout().recipients().end()),
      std::vector<std::string>{"b@x"});
  EXPECT_EQ(
      std::vector<std::string>(said[1].fanout().recipients().begin(), said[1].fanout().recipients().end()),
      (std::vector<std::string>{"a@x", "c@x"}));
  EXPECT_EQ(stanza.id(), "m1");
}

}  // namespace
}  // namespace rookery::sharding
