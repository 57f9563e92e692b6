#include "instance_table.h"

#include <gtest/gtest.h>

namespace rookery::routing {
namespace {

using std::chrono::milliseconds;

class InstanceTableTest : public ::testing::Test {
 protected:
  using Rows = std::vector<std::pair<std::string, std::int64_t>>;

  bool Read(int at_ms, std::int64_t redis_now, const Rows& rows) {
    redis::Reply reply;
    reply.type = redis::Reply::Type::kArray;
    const auto add = [&](std::string text) {
      reply.array.push_back({redis::Reply::Type::kText, std::move(text), 0, {}});
    };
    add(std::to_string(redis_now));
    for (const auto& [member, score] : rows) {
      add(member);
      add(std::to_string(score));
    }
    return table_.Apply(reply, SteadyTime(milliseconds(1'000'000 + at_ms)));
  }

  std::string Ids() const {
    std::string ids;
    for (const Instance& instance : table_.instances()) ids += instance.id + " ";
    return ids;
  }

  InstanceTable table_;
};

TEST_F(InstanceTableTest, FirstReadingIsAlwaysAChange) {
  EXPECT_FALSE(table_.is_known());
  EXPECT_TRUE(Read(0, 100, {}));
  EXPECT_TRUE(table_.is_known());
  EXPECT_FALSE(Read(1'000, 1'100, {}));
}

TEST_F(InstanceTableTest, SortedWithTheirAddresses) {
  EXPECT_TRUE(Read(0, 0, {{"b h:2", 5'000}, {"a h:1", 5'000}, {"gateway ", 5'000}, {"torn", 5'000}}));
  ASSERT_EQ(Ids(), "a b gateway ");
  EXPECT_EQ(table_.instances()[0].address, "h:1");
  EXPECT_EQ(table_.instances()[2].address, "");
  EXPECT_FALSE(Read(1'000, 1'000, {{"b h:2", 6'000}, {"a h:1", 6'000}, {"gateway ", 6'000}}));
}

TEST_F(InstanceTableTest, AnExpiredStrangerIsNotThere) {
  Read(0, 10'000, {{"a h:1", 9'000}, {"b h:2", 10'001}});
  EXPECT_EQ(Ids(), "b ");
}

TEST_F(InstanceTableTest, OneThatDiedIsDroppedAfterItsTimeToLive) {
  Read(0, 0, {{"a h:1", 5'000}, {"b h:2", 5'000}});
  for (int t = 1'000; t <= 4'000; t += 1'000) {
    EXPECT_FALSE(Read(t, t, {{"a h:1", 5'000 + t}, {"b h:2", 5'000}})) << t;
  }
  EXPECT_TRUE(Read(5'000, 5'000, {{"a h:1", 10'000}, {"b h:2", 5'000}}));
  EXPECT_EQ(Ids(), "a ");
}

TEST_F(InstanceTableTest, AnEmptiedRedisMakesNobodyVanish) {
  Read(0, 0, {{"a h:1", 5'000}, {"b h:2", 5'000}});
  EXPECT_FALSE(Read(1'000, 1'000, {}));
  EXPECT_FALSE(Read(2'000, 2'000, {{"a h:1", 7'000}}));
  EXPECT_FALSE(Read(3'000, 3'000, {{"a h:1", 8'000}, {"b h:2", 8'000}}));
  EXPECT_FALSE(Read(7'000, 7'000, {{"a h:1", 12'000}, {"b h:2", 8'000}}));
  EXPECT_EQ(Ids(), "a b ");
}

TEST_F(InstanceTableTest, WithdrawalIsBelievedAtOnce) {
  Read(0, 0, {{"a h:1", 5'000}, {"b h:2", 5'000}});
  EXPECT_TRUE(Read(500, 500, {{"-a", 10'500}, {"b h:2", 5'500}}));
  EXPECT_EQ(Ids(), "b ");
  // Back under the same id: its announcement removed the tombstone.
  EXPECT_TRUE(Read(1'500, 1'500, {{"a h:9", 6'500}, {"b h:2", 6'500}}));
  EXPECT_EQ(table_.instances()[0].address, "h:9");
}

TEST_F(InstanceTableTest, TimeInWhichRedisWasAwayDoesNotCount) {
  Read(0, 0, {{"a h:1", 5'000}, {"b h:2", 5'000}});
  table_.Miss();
  // A minute later, from its old snapshot: all long expired.
  EXPECT_FALSE(Read(60'000, 60'000, {{"a h:1", 5'000}, {"b h:2", 5'000}}));
  EXPECT_FALSE(Read(61'000, 61'000, {{"a h:1", 66'000}, {"b h:2", 5'000}}));
  EXPECT_EQ(Ids(), "a b ");
  EXPECT_TRUE(Read(65'500, 65'500, {{"a h:1", 70'000}, {"b h:2", 5'000}}));
  EXPECT_EQ(Ids(), "a ");
}

TEST_F(InstanceTableTest, ANewAddressIsAChange) {
  Read(0, 0, {{"a h:1", 5'000}});
  EXPECT_TRUE(Read(1'000, 1'000, {{"a h:2", 6'000}}));
  EXPECT_EQ(table_.instances()[0].address, "h:2");
}

TEST_F(InstanceTableTest, AnotherProcessOfTheSameNameAndAddressIsAChange) {
  Read(0, 0, {{"a h:1", 5'000}, {"a@17-00000000000000ff", 5'000}});
  EXPECT_EQ(table_.instances()[0].incarnation, (Incarnation{17, 0xff}));
  EXPECT_FALSE(Read(1'000, 1'000, {{"a h:1", 6'000}, {"a@17-00000000000000ff", 6'000}}));
  EXPECT_TRUE(Read(2'000, 2'000, {{"a h:1", 7'000}, {"a@18-0000000000000001", 7'000}}));
  EXPECT_EQ(Ids(), "a ");
  EXPECT_EQ(table_.instances()[0].incarnation, (Incarnation{18, 1}));
}

TEST_F(InstanceTableTest, AnIncarnationThatCannotBeReadIsNone) {
  Read(0, 0,
       {{"a h:1", 5'000},
        {"a@", 5'000},
        {"a@x-00000000000000ff", 5'000},
        {"a@1-ff", 5'000},
        {"a@-1-00000000000000ff", 5'000},
        {"b@1-00000000000000ff", 5'000},
        {"@", 5'000}});
  EXPECT_EQ(Ids(), "a ");
  EXPECT_FALSE(table_.instances()[0].incarnation.is_known());
}

TEST_F(InstanceTableTest, ANonsenseReplyIsAGap) {
  Read(0, 0, {{"a h:1", 5'000}});
  EXPECT_FALSE(table_.Apply(redis::Reply{}, SteadyTime(milliseconds(1'006'000))));
  EXPECT_FALSE(Read(6'000, 6'000, {}));
  EXPECT_EQ(Ids(), "a ");
}

}  // namespace
}  // namespace rookery::routing
