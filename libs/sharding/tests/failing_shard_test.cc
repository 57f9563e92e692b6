#include <chrono>
#include <csignal>
#include <new>
#include <stdexcept>

#include "owned_shards.h"

namespace rookery::sharding {
namespace {

using ::testing::ElementsAre;

TEST_F(ShardOwnerTest, ARecordWhoseApplicationFails_IsAppliedByAShardThatIsAcquiredAfresh) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.Take();
  one->service.on_apply = [&](Shard&, const Record&) {
    one->service.on_apply = nullptr;
    throw std::runtime_error("half-way");
  };
  Put(0, "a", 1);
  Put(0, "a", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("apply 1", "forget", "fenced", "loaded", "reading",
                                               "apply 1 again", "apply 2 again", "live"));
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], 4);
  EXPECT_EQ(one->owner.metrics().failed_records.Value(), 1);
}

TEST_F(ShardOwnerTest, ARecordWhoseApplicationFailsAgain_IsGivenUp) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.Take();
  one->service.on_apply = [&](Shard&, const Record& record) {
    if (record.offset == 1) throw std::runtime_error("half-way");
  };
  Put(0, "a", 1);
  Put(0, "a", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(),
              ElementsAre("apply 1", "forget", "fenced", "loaded", "reading", "apply 1 again", "forget",
                          "fenced", "loaded", "reading", "given up 1", "apply 2 again", "live"));
  EXPECT_EQ(one->owner.metrics().failed_records.Value(), 2);
  EXPECT_EQ(one->owner.metrics().given_up_records.Value(), 1);
  Put(0, "a", 3);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("apply 5"));
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], 6);
}

TEST_F(ShardOwnerTest, ARecordThatFailsAfterACut_IsNotTheOneThatHasFailedThereBefore) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  int failures = 2;
  one->service.on_apply = [&](Shard&, const Record& record) {
    if (record.offset == 1 && failures-- > 0) throw std::runtime_error("half-way");
  };
  Put(0, "a", 1);
  Put(0, "a", 2);
  Settle(*one);
  ASSERT_EQ(one->owner.metrics().given_up_records.Value(), 1);
  one->service.Take();
  Records(0).resize(1);
  Put(0, "b", 1);
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.metrics().log_cuts.Value() == 1; }));
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_EQ(one->owner.metrics().given_up_records.Value(), 1);
  EXPECT_THAT(one->service.Take(), ::testing::Contains("apply 1 again"));
}

/// A step in the life of a shard throws.
class FailedStepTest : public ShardOwnerTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(FailedStepTest, TheShardIsAcquiredAfresh_NoRecordIsSkipped) {
  auto one = Make();
  Put(0, "a", 1);
  one->service.failing = GetParam();
  one->service.failing_times = 1;
  one->service.is_busy = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.is_busy = false;
  // These come while it is not settled yet.
  Put(0, "a", 2);
  Put(0, "a", 3);
  one->consumer->Give(one->owner);
  one->consumer->Give(one->owner);
  for (int i = 0; i < 100; ++i) {
    Elapse(*one, std::chrono::seconds(1));
    CommitNow(*one);
    if (one->service.failing_times == 0 && one->owner.live() == 1 && one->service.fences == 2) break;
    RunFor(*one, std::chrono::milliseconds(10));
  }
  Settle(*one);
  EXPECT_EQ(one->service.failing_times, 0);
  EXPECT_EQ(one->service.fences, 2);
  const std::vector<std::string> steps = one->service.Take();
  for (const int offset : {2, 3})
    EXPECT_THAT(steps, ::testing::Contains(::testing::HasSubstr("apply " + std::to_string(offset))));
  CommitNow(*one);
  EXPECT_EQ(Committed()[0], static_cast<std::int64_t>(Records(0).size()));
}

TEST_P(FailedStepTest, AgainAndAgain_ItIsTriedAfterLongerAndLongerPauses) {
  auto one = Make();
  one->service.failing = GetParam();
  one->service.failing_times = 1'000'000;
  one->service.is_busy = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.is_busy = false;
  const auto turn = [&] {
    CommitNow(*one);
    RunFor(*one, std::chrono::milliseconds(10));
  };
  for (int i = 0; i < 50 && one->service.fences < 20; ++i) turn();
  EXPECT_LE(one->service.fences, 5);
  while (one->service.fences < 2) turn();
  EXPECT_EQ(one->owner.metrics().failed_records.Value(), 0);
  EXPECT_GE(one->owner.metrics().failed_steps.Value(), 1);
}
INSTANTIATE_TEST_SUITE_P(All, FailedStepTest, ::testing::Values("load", "settle", "live", "committed"));

Task<void> Fail() {
  co_await runtime::Yield();
  throw std::runtime_error("half-way");
}

/// As if "work" had failed in so many lives of shard 0.
template <typename Process>
void FailInLives(Process& process, int lives) {
  FailedSteps& failed = process.owner.Find(0)->failed_steps;
  for (int life = 0; life < lives; ++life) {
    failed.Note("work", process.clock.Now());
    failed.BeginLife(process.clock.Now());
  }
}

TEST_F(ShardOwnerTest, ACoroutineOfALiveShardFails_TheShardIsAcquiredAfresh) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.Shared(0)->Spawn("work", Fail());
  const auto turn = [&] {
    Elapse(*one, std::chrono::seconds(1));
    CommitNow(*one);
    RunFor(*one, std::chrono::milliseconds(10));
  };
  for (int i = 0; i < 2'000 && !(one->service.fences == 2 && one->owner.live() == 1); ++i) turn();
  EXPECT_EQ(one->service.fences, 2);
  EXPECT_EQ(one->owner.live(), 1u);
  EXPECT_EQ(one->owner.metrics().failed_steps.Value(), 1);
}

TEST_F(ShardOwnerTest, ACoroutineOfALiveShardFailsInEveryLife_ItIsGivenUp) {
  for (const int lives : {9, 10}) {
    auto one = Make();
    one->owner.OnAssigned(0);
    Settle(*one);
    Shard& shard = *one->owner.Find(0);
    FailInLives(*one, lives);
    shard.Spawn("work", Fail());
    Settle(*one);
    EXPECT_EQ(one->owner.metrics().failed_steps.Value(), 1);
    EXPECT_EQ(one->owner.live(), lives < 10 ? 0u : 1u);
    one->owner.OnLost(0);
    Settle(*one);
  }
}

TEST_F(ShardOwnerTest, ACoroutineThatTheShardNeedsFailsInEveryLife_ItIsNeverGivenUp) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Shard& shard = *one->owner.Find(0);
  FailInLives(*one, 100);
  shard.SpawnVital("work", Fail());
  Settle(*one);
  EXPECT_EQ(one->owner.metrics().failed_steps.Value(), 1);
  EXPECT_EQ(one->owner.live(), 0u);
}

TEST_F(ShardOwnerTest, ACoroutineOfAShardThatIsNotLiveYetFailsInEveryLife_ItIsNeverGivenUp) {
  auto one = Make();
  one->service.is_busy = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  FailInLives(*one, 100);
  one->owner.Find(0)->Spawn("work", Fail());
  Settle(*one);
  one->service.is_busy = false;
  EXPECT_EQ(one->owner.metrics().failed_steps.Value(), 1);
  EXPECT_EQ(one->owner.live(), 0u);
}

TEST_F(ShardOwnerTest, AShardThatCannotBeForgotten_EndsTheProcess) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.failing = "forget";
  one->service.failing_times = 1;
  EXPECT_EXIT(one->owner.OnLost(0), ::testing::KilledBySignal(SIGABRT), "");
}

class FailedHandOverTest : public ShardOwnerTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(FailedHandOverTest, TheShardIsHandedOverAllTheSame) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Put(0, "a", 1);
  Settle(*one);
  one->service.failing = GetParam();
  one->service.failing_times = 1;
  one->owner.OnRevoking(0);
  Settle(*one);
  EXPECT_EQ(one->service.failing_times, 0);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
  EXPECT_EQ(Committed()[0], static_cast<std::int64_t>(Records(0).size()));
}
INSTANTIATE_TEST_SUITE_P(All, FailedHandOverTest, ::testing::Values("hand over", "committed"));

TEST_F(ShardOwnerTest, ARecordWhoseApplicationFails_WhileItsShardIsHandedOver_IsTheNextOwners) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.on_apply = [&](Shard&, const Record&) { throw std::runtime_error("half-way"); };
  Put(0, "a", 1);
  one->consumer->Give(one->owner);
  one->owner.OnRevoking(0);
  Settle(*one);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
  EXPECT_EQ(Committed()[0], 1);
}

TEST_F(ShardOwnerTest, WithoutMemoryForARecord_TheProcessEnds) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.on_apply = [&](Shard&, const Record&) { throw std::bad_alloc(); };
  Put(0, "a", 1);
  EXPECT_EXIT(Settle(*one), ::testing::KilledBySignal(SIGABRT), "");
}

TEST_F(ShardOwnerTest, RecordsThatFailAgainAndAgain_AreGivenUpAfterLongerAndLongerPauses) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  // Something decides the same in every life.
  one->service.on_apply = [&](Shard&, const Record&) { throw std::runtime_error("half-way"); };
  for (int i = 0; i < 50; ++i) Put(0, "a", i);
  for (int i = 0; i < 50 && one->service.fences < 30; ++i) {
    CommitNow(*one);
    one->consumer->Give(one->owner);
    RunFor(*one, std::chrono::milliseconds(10));
  }
  EXPECT_LE(one->service.fences, 8);
}

}  // namespace
}  // namespace rookery::sharding
