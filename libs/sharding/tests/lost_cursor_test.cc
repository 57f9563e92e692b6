// The group has lost the cursor.
#include "owned_shards.h"

namespace rookery::sharding {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LostCursorTest : public ShardOwnerTest {
 protected:
  using Kept = ShardService::KeptCursor;
  std::unique_ptr<Process> MakeKeeping(const char* name = "one") {
    auto process = Make(name);
    process->service.kept = kept_;
    return process;
  }
  /// It was owned and read, and then nobody was there for longer than offsets are kept.
  void BeOwnedAndForgotten() {
    Put(0, "a", 1);
    auto one = MakeKeeping();
    one->owner.OnAssigned(0);
    Settle(*one);
    Put(0, "a", 2);
    Settle(*one);
    one->owner.OnRevoking(0);
    Settle(*one);
    ASSERT_EQ(Committed()[0], 3);
    kept_ = *one->service.kept;
    Committed().clear();
  }
  Kept kept_;
};

TEST_F(LostCursorTest, TheStoreHasIt_ItGoesOnFromThere) {
  BeOwnedAndForgotten();
  EXPECT_EQ(kept_.cursor, 3);
  Put(0, "a", 3);
  auto two = MakeKeeping("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_THAT(two->service.Take(), ElementsAre("fenced", "loaded", "reading", "finished 0", "finished 2",
                                               "apply 3 again", "live"));
  EXPECT_EQ(two->owner.metrics().log_cuts.Value(), 0);
}

TEST_F(LostCursorTest, NobodyHasIt_ItIsNotReady_UntilSomebodySaysIt) {
  BeOwnedAndForgotten();
  kept_.cursor = -1;
  auto two = MakeKeeping("two");
  two->owner.OnAssigned(0);
  const std::size_t records = Records(0).size();
  EXPECT_FALSE(SettleUntil(*two, [&] { return Records(0).size() > records || !Committed().empty(); }));
  EXPECT_THAT(two->service.Take(), IsEmpty());
  EXPECT_EQ(two->owner.NotReadyReason(), "the cursor of shard 0 is lost");
  Committed()[0] = 2;
  ASSERT_TRUE(SettleUntil(*two, [&] { return two->owner.live() == 1; }));
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "loaded", "reading", "finished 0", "apply 2 again", "live"));
  EXPECT_EQ(two->owner.NotReadyReason(), "");
}

TEST_F(LostCursorTest, DoubtedMeanwhile_NothingIsCommittedThatNobodyKnows) {
  BeOwnedAndForgotten();
  kept_.cursor = -1;
  auto two = MakeKeeping("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  two->owner.Doubt(two->owner.Shared(0));
  EXPECT_FALSE(SettleUntil(*two, [&] { return !Committed().empty(); }));
  EXPECT_EQ(two->owner.NotReadyReason(), "the cursor of shard 0 is lost");
}

TEST_F(LostCursorTest, TheStoreIsAway_ItIsWaitedFor) {
  BeOwnedAndForgotten();
  auto two = MakeKeeping("two");
  two->service.kept_error = absl::UnavailableError("no store");
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_THAT(two->service.Take(), IsEmpty());
  EXPECT_EQ(two->owner.NotReadyReason(), "recovering 1 of 1 shards");
  two->service.kept_error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*two, [&] { return two->owner.live() == 1; }));
  EXPECT_THAT(two->service.Take(), ::testing::Not(::testing::Contains("apply 0 again")));
}

TEST_F(LostCursorTest, TheTopicWasMadeAnew_WhatIsInItIsApplied) {
  for (const std::int64_t cursor : {90, -1}) {
    Records(0).clear();
    Committed().clear();
    Put(0, "a", 1);
    kept_ = {100, cursor};
    auto one = MakeKeeping();
    one->owner.OnAssigned(0);
    Settle(*one);
    EXPECT_THAT(one->service.Take(),
                ElementsAre("fenced", "loaded", "reading a cut log", "apply 0 again", "live"));
    EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
  }
}

TEST_F(LostCursorTest, TheFirstOwnerCommitsBeforeItsFence) {
  Put(0, "a", 1);
  auto one = MakeKeeping();
  one->consumer->commit_error = absl::AbortedError("a rebalance");
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(Records(0).size(), 1u);
  one->consumer->commit_error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->log.in_flight() > 0 || Records(0).size() > 1; }));
  EXPECT_EQ(Committed()[0], 0);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "loaded", "reading", "apply 0 again", "live"));
}

TEST_F(LostCursorTest, TheStoreIsToldWithEachFence_EachMinute_AndAtTheHandOver) {
  auto one = MakeKeeping();
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->service.kept->epoch, 0);
  EXPECT_EQ(one->service.kept->cursor, 0);
  Put(0, "a", 1);
  Settle(*one);
  CommitNow(*one);
  EXPECT_EQ(one->service.kept->cursor, 0);
  Elapse(*one, KeptCursors::kEvery);
  Put(0, "a", 2);
  Settle(*one);
  CommitNow(*one);
  EXPECT_EQ(one->service.kept->cursor, 3);
  Put(0, "a", 3);
  Settle(*one);
  one->owner.OnRevoking(0);
  Settle(*one);
  EXPECT_EQ(one->service.kept->cursor, 4);
  EXPECT_EQ(one->consumer->released.size(), 1u);
}

TEST_F(LostCursorTest, WhatTheStoreHasRefusedOfAShardThatRestsSince_IsToldAtTheHandOver) {
  auto one = MakeKeeping();
  one->owner.OnAssigned(0);
  Settle(*one);
  Put(0, "a", 1);
  Settle(*one);
  Elapse(*one, KeptCursors::kEvery);
  one->service.kept_error = absl::UnavailableError("no store");
  CommitNow(*one);
  ASSERT_EQ(one->service.kept->cursor, 0);
  one->service.kept_error = absl::OkStatus();
  one->owner.OnRevoking(0);
  Settle(*one);
  EXPECT_EQ(one->service.kept->cursor, 2);
}

}  // namespace
}  // namespace rookery::sharding
