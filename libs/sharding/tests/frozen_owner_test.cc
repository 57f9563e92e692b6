// An owner that stood still.
#include "owned_shards.h"

namespace rookery::sharding {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(ShardOwnerTest, FrozenForAWhile_CertainAgainAfterACommit) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  Advance(std::chrono::seconds(10));
  one->owner.NoteTime();
  EXPECT_FALSE(one->owner.Find(0)->live());
  Settle(*one);
  EXPECT_TRUE(one->owner.Find(0)->live());
  EXPECT_THAT(one->service.Take(), ElementsAre("certain"));
}

// The steady clock stood still meanwhile.
TEST_F(ShardOwnerTest, TheMachineWasSuspended_AsFrozen) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  one->clock.skew += std::chrono::seconds(10);
  one->owner.NoteTime();
  EXPECT_FALSE(one->owner.Find(0)->live());
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("certain"));
  // A wall clock that is set back says nothing.
  one->clock.skew -= std::chrono::hours(1);
  one->owner.NoteTime();
  EXPECT_TRUE(one->owner.Find(0)->live());
  one->clock.skew += std::chrono::minutes(10);
  one->owner.NoteTime();
  EXPECT_THAT(one->service.Take(), ::testing::Contains("forget"));
}

TEST_F(ShardOwnerTest, Frozen_NothingIsAppliedBeforeTheGroupHasSaidThatTheShardIsStillOurs) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  one->consumer->error = absl::UnavailableError("no coordinator");
  Advance(std::chrono::seconds(10));
  Put(0, "a", 1);
  Put(0, "a", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  one->consumer->error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("certain", "apply 1", "apply 2"));
}

TEST_F(ShardOwnerTest, WhatCameBeforeTheFenceIsNotDone_NothingNewerIsApplied) {
  Put(0, "a", 1);
  auto one = Make();
  one->service.is_busy = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.Take();
  Put(0, "a", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  EXPECT_EQ(one->owner.live(), 0u);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  one->service.is_busy = false;
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("live", "apply 2"));
}

TEST_F(ShardOwnerTest, FrozenWhileWhatCameBeforeTheFenceIsNotDone_LiveOnceItIsCertain) {
  auto one = Make();
  one->service.is_busy = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  one->consumer->error = absl::UnavailableError("no coordinator");
  Advance(std::chrono::seconds(10));
  one->owner.NoteTime();
  one->service.is_busy = false;
  Put(0, "a", 1);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  one->consumer->error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("certain", "live", "apply 1"));
}

TEST_F(ShardOwnerTest, FrozenAsTheServiceSettles_BusyAgainWhenItIsCertain_LiveAllTheSame) {
  auto one = Make();
  one->service.is_busy = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->consumer->error = absl::UnavailableError("no coordinator");
  Advance(std::chrono::seconds(10));
  one->owner.NoteTime();
  one->service.is_busy = false;
  // The first wait ends while nothing is certain.
  for (int i = 0; i < 5; ++i) {
    Settle(*one);
    RunFor(*one, std::chrono::milliseconds(10));
  }
  one->service.is_busy = true;
  one->consumer->error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return !one->owner.Find(0)->suspended; }));
  one->service.is_busy = false;
  EXPECT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
}

TEST_F(ShardOwnerTest, FrozenWhileTheShardMoved_NothingOfTheNewOwnersTimeIsApplied) {
  auto one = Make("one");
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  Advance(std::chrono::seconds(15));
  Put(0, "a", 1);
  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  Put(0, "a", 2);
  Settle(*two);
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "loaded", "reading", "apply 1 again", "live", "apply 3"));
  // It wakes up, and has not yet heard that it is no member any more.
  one->consumer->error = absl::FailedPreconditionError("not a member");
  Settle(*one);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  one->owner.OnLost(0);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("forget"));
}

TEST_F(ShardOwnerTest, FrozenWhileItWasAcquiredAndMoved_ItPutsNoFenceBehindTheNewOwners) {
  auto one = Make("one");
  one->consumer->is_away = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  Advance(std::chrono::seconds(15));
  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  ASSERT_EQ(two->owner.live(), 1);
  const std::size_t records = Records(0).size();
  // It wakes up, and has not yet heard that it is no member any more.
  one->consumer->is_away = false;
  one->consumer->commit_error = absl::FailedPreconditionError("not a member");
  one->consumer->answers->Set();
  EXPECT_FALSE(SettleUntil(*one, [&] { return Records(0).size() > records; }));
  one->owner.OnLost(0);
  Settle(*one);
  Settle(*two);
  EXPECT_EQ(two->owner.live(), 1);
}

TEST_F(ShardOwnerTest, FrozenForTooLong_EverythingIsGivenUp) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  one->consumer->error = absl::UnavailableError("no member");
  Advance(std::chrono::seconds(61));
  one->owner.NoteTime();
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("forget"));
  EXPECT_EQ(one->owner.live(), 0u);
  EXPECT_EQ(one->log.drops, 1);
  one->owner.OnLost(0);
  one->consumer->error = absl::OkStatus();
  Settle(*one);
  EXPECT_EQ(one->owner.owned(), 0u);
}

TEST_F(ShardOwnerTest, FailedWhileItWasInDoubt_ItIsNotTakenForCertain) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  // A step ends half-way while the group is asked.
  asio::post(io_,
             [&] { one->owner.NoteStepFailed(*one->owner.Find(0), "step", std::runtime_error("half-way")); });
  Advance(std::chrono::seconds(10));
  one->owner.NoteTime();
  Settle(*one);
  EXPECT_THAT(one->service.Take(), Not(Contains("certain")));
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(), Contains("live"));
}

// The coordinator stood still as well: nobody else is given the shard.
TEST_F(ShardOwnerTest, FrozenForTooLong_StillAMember_TakesItAnew) {
  Put(0, "a", 1);
  auto one = Make();
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  CommitNow(*one);
  one->owner.NoteTime();
  one->service.Take();
  Advance(std::chrono::seconds(61));
  Put(0, "a", 2);
  Settle(*one);
  EXPECT_EQ(one->owner.live(), 2u);
  EXPECT_EQ(one->log.drops, 1);
  EXPECT_THAT(one->service.Take(), ::testing::Contains("apply 2 again"));
}

TEST_F(ShardOwnerTest, FrozenForTooLongWhileItIsAcquired_ItsCursorStays) {
  Put(0, "a", 1);
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  const std::int64_t committed = Committed()[0];
  ASSERT_GT(committed, 0);
  one->owner.OnLost(0);
  one->service.stalls = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  Advance(std::chrono::seconds(61));
  one->owner.NoteTime();
  Settle(*one);
  EXPECT_EQ(Committed()[0], committed);
  one->service.stalls = false;
  EXPECT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
}

}  // namespace
}  // namespace rookery::sharding
