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
