// The rules of src/domain/delivery/README.md on the writer of the store.
#include "delivery_rules.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(DeliveryRules, S1_ManyUsersAreOneStatement) {
  int statements = 0;
  bool is_open = false;
  Gate("StoreOffline", is_open);
  database_.on_call = [&](std::string_view call) { statements += call == "StoreOffline" ? 1 : 0; };
  for (int i = 0; i < 100; ++i) gateway_.Send(*alice, Message(UserIn(1, i), "m"));
  Settle();
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(database_.Waiting(UserIn(1, i)), 1u);
  EXPECT_EQ(statements, 2) << "the first one, and all that came meanwhile";
  Repair();
}

TEST_F(DeliveryRules, S2_StoreAway_OneStatementIsTriedAgain_OthersGoOn) {
  Client& carol = SignIn(other_, UserIn(1, 500), "c");
  database_.down = true;
  for (int i = 0; i < 100; ++i) gateway_.Send(*alice, Message(UserIn(1, i), "m"));
  Settle();
  const int before = database_.statements;
  const auto began = std::chrono::steady_clock::now();
  (void)RunUntil([&] { return std::chrono::steady_clock::now() - began > std::chrono::milliseconds(700); });
  EXPECT_LE(database_.statements - before, 8) << "not each message for itself";
  for (int i = 0; i < 50; ++i) gateway_.Send(*alice, Message(UserIn(1, 500), "c" + std::to_string(i)));
  Settle();
  EXPECT_EQ(carol.MessageIds().size(), 50u);
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(database_.Waiting(UserIn(1, i)), 1u);
}

TEST_F(DeliveryRules, S3_Full_TheShardIsReadNoFurther_NothingIsDropped) {
  node(2).settings.max_store_waiting = 64;
  Move();
  // Four of each sender and eight for each recipient may wait (S7): it takes many of both.
  std::vector<Client*> senders;
  for (int n = 1; n <= 30; ++n) senders.push_back(&SignIn(gateway_, UserIn(0, n), "s"));
  database_.down = true;
  for (int n = 0; n < 30; ++n)
    for (int i = 0; i < 4; ++i)
      gateway_.Send(*senders[static_cast<std::size_t>(n)],
                    Message(UserIn(1, (4 * n + i) % 40), "m" + std::to_string(i)));
  Settle();
  EXPECT_TRUE(node(2).shard_log.paused.contains(1));
  // Some were read before it was full, and waited for their users' settings.
  EXPECT_LT(BobsShard().delivery->writer->rows(), 120u);
  database_.down = false;
  const auto stored = [&] {
    std::size_t waiting = 0;
    for (int i = 0; i < 40; ++i) waiting += database_.Waiting(UserIn(1, i));
    return waiting;
  };
  ASSERT_TRUE(Eventually([&] { return stored() == 120; })) << stored();
  EXPECT_FALSE(node(2).shard_log.paused.contains(1));
}

TEST_F(DeliveryRules, S4_ARowThatTheStoreRefusesHoldsUpNobody) {
  const std::string carol = UserIn(1, 1);
  database_.refuses = [&](const std::string& owner) { return owner == carol; };
  bool is_open = false;
  Gate("StoreOffline", is_open);
  Say("m1", bob_);
  Say("c1", carol);
  for (const char* id : {"m2", "m3"}) Say(id, bob_);
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 3; }));
  ASSERT_TRUE(Eventually([&] { return alice->inbox.size() == 1; }));
  EXPECT_EQ(alice->inbox[0].id(), "c1");
  EXPECT_THAT(alice->inbox[0].payload(), HasSubstr("internal-server-error"));
  EXPECT_EQ(Unfinished(), 0u);
  Repair();
}

TEST_F(DeliveryRules, S5_TheAnswerIsLost_StoredOnce) {
  database_.ambiguous = true;
  Say("m1", bob_);
  Say("m2", bob_);
  EXPECT_GT(Unfinished(), 0u);
  database_.ambiguous = false;
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  EXPECT_THAT(Available().MessageIds(), ElementsAre("m1", "m2"));
}

TEST_F(DeliveryRules, S6_AfterAFailure_WhatIsDoneLateIsKeptOut) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  const testing::MemoryClaims::Row before = database_.claims.rows[1];
  database_.ambiguous = true;
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  database_.ambiguous = false;
  ASSERT_TRUE(Eventually([&] { return bob.parked; }));
  EXPECT_EQ(database_.claims.rows[1].epoch, before.epoch);
  EXPECT_GT(database_.claims.rows[1].turn, before.turn);
}

TEST_F(DeliveryRules, S6_ANewerOwnerHasClaimedTheShard_WhoIsNoMemberAnyMoreChangesNothing) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  Say("m1", bob_);
  database_.claims.rows[1] = {1'000, 1};
  node(1).shard_log.member = false;
  const std::size_t records = log_.users[1].size();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Elapse(std::chrono::seconds(5));
  EXPECT_EQ(node(1).owner.metrics().superseded.Value(), 1);
  EXPECT_EQ(node(1).domain.table().size(), 0u) << "dropped at once";
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(database_.claims.rows[1].epoch, 1'000);
  EXPECT_EQ(log_.users[1].size(), records) << "no fence either";
}

TEST_F(DeliveryRules, S6_ANewerOwnerHasClaimedTheShard_WhoIsStillItsOwnerTakesItAfreshAboveIt) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  Client& desk = SignIn(other_, bob_, "desk");
  // A late word of somebody whose epoch was above that of the log.
  database_.claims.rows[1] = {1'000, 1};
  other_.End(bob, END_REASON_CONNECTION_LOST);
  ASSERT_TRUE(Eventually([&] { return IsLive(1) && node(1).domain.shards().Find(1)->epoch > 1'000; }));
  EXPECT_EQ(database_.claims.rows[1].epoch, node(1).domain.shards().Find(1)->epoch);
  Say("m1", bob_ + "/desk");
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
  EXPECT_FALSE(desk.ended);
  Client& gone = SignIn(other_, bob_, "gone");
  other_.EnableStreamManagement(gone);
  other_.End(gone, END_REASON_CONNECTION_LOST);
  ASSERT_TRUE(Eventually([&] { return gone.parked; }));
}

TEST_F(DeliveryRules, S6_AnOlderBackupOfTheStoreIsRestored_TheOwnerGoesOn) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  for (const testing::MemoryClaims::Row& row : {testing::MemoryClaims::Row{0, 1}, {}}) {
    database_.claims.rows[1] = row;
    const std::int64_t epoch = node(1).domain.shards().Find(1)->epoch;
    Client& gone = SignIn(other_, bob_, "gone");
    other_.EnableStreamManagement(gone);
    other_.End(gone, END_REASON_CONNECTION_LOST);
    ASSERT_TRUE(Eventually([&] { return gone.parked; }));
    EXPECT_EQ(node(1).domain.shards().Find(1)->epoch, epoch);
    EXPECT_EQ(database_.claims.rows[1].epoch, epoch);
  }
  EXPECT_EQ(node(1).owner.metrics().superseded.Value(), 0);
}

TEST_F(DeliveryRules, S6_ANewOwnerClaimsBeforeItReads) {
  std::vector<std::string> calls;
  const std::int64_t epoch = database_.claims.rows[1].epoch;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    if (call == "Claim" || call == "LoadPage") calls.emplace_back(call);
    co_return;
  };
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  EXPECT_THAT(calls, ElementsAre("Claim", "LoadPage"));
  EXPECT_GT(database_.claims.rows[1].epoch, epoch);
}

}  // namespace
}  // namespace rookery::session_manager
