// The log has become shorter than it was, or is another one.
#include "owned_shards.h"

namespace rookery::sharding {
namespace {

using ::testing::ElementsAre;

TEST_F(ShardOwnerTest, LogCut_GoesOnFromWhatIsThere_EpochsRiseForEveryLaterOwner) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], 21);
  one.reset();
  Records(0).clear();
  Put(0, "b", 1);

  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "loaded", "reading a cut log", "apply 0 again", "live"));
  EXPECT_EQ(two->owner.Find(0)->epoch, 22);
  CommitNow(*two);
  EXPECT_EQ(Committed()[0], 2);
}

TEST_F(ShardOwnerTest, LogCut_LaterOwnersReadSinceWhichEpochItsOffsetsAreThese) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->owner.Find(0)->log_since, -1);
  CommitNow(*one);
  one.reset();
  Records(0).clear();

  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_EQ(two->owner.Find(0)->log_since, 22);
  CommitNow(*two);
  two.reset();

  auto three = Make("three");
  three->owner.OnAssigned(0);
  Settle(*three);
  EXPECT_EQ(three->owner.Find(0)->log_since, 22);
  EXPECT_EQ(three->owner.metrics().log_cuts.Value(), 0);
}

TEST_F(ShardOwnerTest, LogCutUnderALivingOwner_AcquiredAfresh_NewRecordsAreApplied) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  one->service.Take();
  const std::int64_t epoch = one->owner.Find(0)->epoch;
  Records(0).clear();
  Put(0, "b", 1);
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(),
              ElementsAre("forget", "fenced", "loaded", "reading a cut log", "apply 0 again", "live"));
  EXPECT_GT(one->owner.Find(0)->epoch, epoch);
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
  Put(0, "b", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("apply 2"));
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], 3);
}

TEST_F(ShardOwnerTest, LogCutUnderALivingOwner_TheNextOwnerTakesNoNewRecordForAFinishedOne) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], 21);
  Records(0).clear();
  one->service.stalls = true;  // it dies before it has read anything of what is new
  SettleUntil(*one, [&] { return !Records(0).empty(); });
  Settle(*one);
  one->consumer->position.clear();
  one.reset();
  for (int i = 0; i < 40; ++i) Put(0, "b", static_cast<std::uint64_t>(i + 1));

  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_EQ(two->owner.metrics().applied.Value(), 40);
}

// While the shard is loaded, the log loses its end and grows beyond it. `GetParam`: another owner's fence is
// where its own was.
class ShardOwnerLogCutTest : public ShardOwnerTest, public ::testing::WithParamInterface<bool> {};

TEST_P(ShardOwnerLogCutTest, BeforeItsFenceIsRead_AcquiredAfresh) {
  for (int i = 0; i < 5; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->service.stalls = true;
  one->owner.OnAssigned(0);
  ASSERT_TRUE(SettleUntil(*one, [&] { return Records(0).size() == 6; }));
  Records(0).pop_back();
  if (GetParam()) {
    auto two = Make("two");
    two->service.stalls = true;
    two->owner.OnAssigned(0);
    ASSERT_TRUE(SettleUntil(*two, [&] { return Records(0).size() == 6; }));
  }
  Put(0, "b", 1);
  Put(0, "b", 2);
  one->service.stalls = false;
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
  EXPECT_GT(one->owner.Find(0)->fence_offset, 6);
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], one->owner.Find(0)->fence_offset + 1);
}
INSTANTIATE_TEST_SUITE_P(All, ShardOwnerLogCutTest, ::testing::Bool());

/// The producer notices first that the log has lost its end, and the shard is given up for that. Meanwhile so
/// many new records have come.
class ShardOwnerBrokenLogTest : public ShardOwnerTest, public ::testing::WithParamInterface<int> {};

TEST_P(ShardOwnerBrokenLogTest, LogCutUnderALivingOwner_WhatComesAfterTheCutIsApplied) {
  constexpr int kLost = 10;
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  ASSERT_EQ(Committed()[0], 21);
  Records(0).resize(21 - kLost);
  one->service.Take();
  one->owner.OnLogBroken();
  for (int i = 0; i < GetParam(); ++i) Put(0, "b", static_cast<std::uint64_t>(i + 1));
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
  const std::vector<std::string> steps = one->service.Take();
  for (int i = 0; i < GetParam(); ++i)
    EXPECT_THAT(steps, ::testing::Contains("apply " + std::to_string(21 - kLost + i) + " again"));
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], static_cast<std::int64_t>(Records(0).size()));
}
INSTANTIATE_TEST_SUITE_P(All, ShardOwnerBrokenLogTest, ::testing::Values(0, 5, 10, 15));

TEST_F(ShardOwnerTest, LogCutWhileAnEarlierCutIsLookedInto_ItIsNotForgotten) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  Records(0).resize(11);
  one->consumer->commit_error = absl::UnavailableError("no coordinator");
  one->consumer->Give(one->owner);
  io_.poll();
  one->owner.OnLogBroken();
  for (int i = 0; i < 15; ++i) Put(0, "b", static_cast<std::uint64_t>(i + 1));
  one->consumer->commit_error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
  EXPECT_THAT(one->service.Take(), ::testing::Contains("apply 11 again"));
}

TEST_F(ShardOwnerTest, GivenUpWithoutACut_NothingIsAppliedAgain) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  for (int i = 0; i < 3; ++i) {
    one->service.Take();
    Advance(std::chrono::milliseconds(500));
    one->owner.OnLogBroken();
    ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
    EXPECT_THAT(one->service.Take(), ::testing::Not(::testing::Contains(::testing::HasSubstr("apply"))));
  }
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 0);
}

TEST_F(ShardOwnerTest, AnOffsetBelowTheOnesThatWereRead_TheLogIsAnotherOne) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Put(0, "a", 1);
  Put(0, "a", 2);
  Settle(*one);
  one->service.Take();
  one->service.finishes = false;
  one->consumer->position[0] = 1;  // as if the log had been cut and had grown again
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
  EXPECT_EQ(one->service.Take().at(3), "reading a cut log");
}

}  // namespace
}  // namespace rookery::sharding
