#include "owned_shards.h"

namespace rookery::sharding {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST_F(ShardOwnerTest, TheStepsOfAShardsLife) {
  Put(2, "a", 1);
  auto one = Make();
  one->owner.OnAssigned(2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "loaded", "reading", "apply 0 again", "live"));
  EXPECT_THAT(one->published, ElementsAre(Pair(2u, 1)));
  Put(2, "a", 2);
  Put(2, "a", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("apply 2"));
  one->owner.OnRevoking(2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("hand over", "forget"));
  EXPECT_THAT(one->consumer->released, ElementsAre(2));
  EXPECT_EQ(Committed()[2], 4);
  EXPECT_THAT(one->published, IsEmpty());
}

TEST_F(ShardOwnerTest, ItsEndWhileAShardLives_AndOneIsLoaded_NothingMoreIsAskedOfTheService) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.stalls = true;
  one->owner.OnAssigned(1);
  Settle(*one);
  EXPECT_EQ(one->owner.owned(), 2u);
  one->service.Take();
  one->owner.End();
  time_.Settle(io_);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  EXPECT_EQ(one->owner.owned(), 0u);
}

TEST_F(ShardOwnerTest, TheNextOwnerRemembersWhatWasApplied_AndAppliesWhatWasNotFinished) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Put(0, "a", 1);
  Settle(*one);
  CommitNow(*one);
  one->service.finishes = false;
  Put(0, "a", 2);
  Settle(*one);
  CommitNow(*one);
  one.reset();  // killed

  auto two = Make("two");
  two->owner.OnAssigned(0);
  Put(0, "a", 1);
  Settle(*two);
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "loaded", "reading", "finished 1", "apply 2 again", "live"));
  EXPECT_EQ(two->owner.Find(0)->epoch, 4);
}

TEST_F(ShardOwnerTest, AnErrorOfKafkaOrOfTheService_IsTriedAgain) {
  auto one = Make();
  one->consumer->error = absl::UnavailableError("no broker");
  one->log.refusal = absl::PermissionDeniedError("no right");
  one->service.load_error = absl::UnavailableError("no store");
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  one->consumer->error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "not loaded", "loaded", "reading", "live"));
}

TEST_F(ShardOwnerTest, ALogThatTakesNothingMore_IsToldToDropWhatIsUnderWay_AndTheShardsAreAcquiredAfresh) {
  auto one = Make();
  one->owner.OnLogBroken();
  EXPECT_EQ(one->log.drops, 1) << "without a shard there is nothing else to do";
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  one->service.finishes = false;
  Put(0, "a", 1);
  Settle(*one);
  one->service.Take();
  absl::Status answer;
  one->owner.Append(*one->owner.Find(0), events::Topic::kUsers, 0, "k", events::v1::RoomRecord(),
                    [&](Shard&, const absl::StatusOr<std::int64_t>& offset) { answer = offset.status(); });
  one->owner.OnLogBroken();
  EXPECT_EQ(one->log.drops, 2);
  Settle(*one);
  EXPECT_TRUE(absl::IsAborted(answer)) << answer;
  EXPECT_EQ(one->owner.live(), 2u);
  EXPECT_THAT(one->service.Take(), ::testing::Contains("apply 1 again"))
      << "and what follows from it is said again";
  EXPECT_EQ(one->owner.metrics().surrenders.Value(), 1);
}

TEST_F(ShardOwnerTest, ALogThatTakesNothingMore_WhileAShardIsHandedOver_ItIsReleasedAtOnce) {
  auto one = Make();
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  one->owner.OnRevoking(0);
  one->owner.OnLogBroken();
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
  Settle(*one);
  EXPECT_THAT(one->consumer->released, ElementsAre(0)) << "once";
  EXPECT_EQ(one->owner.Find(0), nullptr);
  EXPECT_EQ(one->owner.live(), 1u);
}

TEST_F(ShardOwnerTest, ReleasedWhileItIsAcquired) {
  auto one = Make();
  one->owner.OnAssigned(0);
  io_.poll();
  one->owner.OnRevoking(0);
  Settle(*one);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
  EXPECT_EQ(one->owner.owned(), 0u);
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->owner.live(), 1u);
}

/// Says that the coroutine which it lies in has ended.
struct AtEnd {
  ~AtEnd() { steps.push_back("ended"); }
  std::vector<std::string>& steps;
};

Task<void> AwaitAndNote(std::shared_ptr<runtime::Event> event, std::vector<std::string>& steps) {
  const AtEnd at_end{steps};
  steps.push_back("waits");
  co_await event->Wait();
  steps.push_back("goes on");
}

TEST_F(ShardOwnerTest, ItsCoroutinesEndWhereTheyWait_WhenTheShardIsReleased) {
  auto one = Make();
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  const std::uint64_t failed = runtime::FailedTasks();
  const auto never = std::make_shared<runtime::Event>(io_.get_executor());
  const auto just_then = std::make_shared<runtime::Event>(io_.get_executor());
  std::vector<std::string> waiting, woken, of_another, late;
  const std::shared_ptr<Shard> shard = one->owner.Shared(0);
  shard->Spawn("waiting", AwaitAndNote(never, waiting));
  shard->Spawn("woken", AwaitAndNote(just_then, woken));
  one->owner.Shared(1)->Spawn("of another", AwaitAndNote(never, of_another));
  Settle(*one);
  EXPECT_EQ(shard->tasks->size(), 2u);
  // The event that it waits for has come, and it has not gone on yet.
  just_then->Set();
  one->owner.OnLost(0);
  EXPECT_THAT(waiting, ElementsAre("waits")) << "nothing runs within the release";
  shard->Spawn("late", AwaitAndNote(just_then, late));
  Settle(*one);
  EXPECT_THAT(waiting, ElementsAre("waits", "ended"));
  EXPECT_THAT(woken, ElementsAre("waits", "ended"));
  EXPECT_THAT(of_another, ElementsAre("waits"));
  EXPECT_THAT(late, IsEmpty());
  EXPECT_EQ(shard->tasks->size(), 0u);
  EXPECT_EQ(runtime::FailedTasks(), failed) << "a cancelled coroutine has not failed";
  one->owner.End();
  EXPECT_THAT(of_another, ElementsAre("waits", "ended"));
}

TEST_F(ShardOwnerTest, ReleasedByOneOfItsOwnCoroutines_ThatGoesOnToItsNextWait) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  const std::uint64_t failed = runtime::FailedTasks();
  std::vector<std::string> steps;
  std::weak_ptr<Shard> shard = one->owner.Shared(0);
  one->owner.Shared(0)->Spawn("release", [](ShardOwner& owner, std::vector<std::string>& out) -> Task<void> {
    const AtEnd at_end{out};
    co_await runtime::Yield();
    owner.OnLost(0);
    out.push_back("released");
    co_await runtime::Yield();
    out.push_back("goes on");
  }(one->owner, steps));
  Settle(*one);
  EXPECT_THAT(steps, ElementsAre("released", "ended"));
  EXPECT_EQ(runtime::FailedTasks(), failed);
  EXPECT_TRUE(shard.expired());
}

TEST_F(ShardOwnerTest, UnfinishedRecordsPauseTheShard_FinishedOnesBehindThemDoNot) {
  options_.max_unfinished_records = 10;
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.finishes = false;
  Put(0, "a", 1);
  Settle(*one);
  one->service.finishes = true;
  for (int i = 0; i < 100; ++i) Put(0, "b", static_cast<std::uint64_t>(i + 1));
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, IsEmpty());
  EXPECT_EQ(one->owner.Find(0)->window.cursor(), 1);
  one->service.finishes = false;
  for (int i = 0; i < 100; ++i) Put(0, "c", static_cast<std::uint64_t>(i + 1));
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  EXPECT_LE(one->owner.Find(0)->window.size(), 12u);
  while (one->owner.Find(0)->window.size() > 0) {
    const std::int64_t cursor = one->owner.Find(0)->window.cursor();
    one->owner.Find(0)->window.Release(cursor);
  }
  one->owner.Tick();
  EXPECT_THAT(one->consumer->paused, IsEmpty());
}

TEST_F(ShardOwnerTest, TooManyBytesPauseItToo) {
  options_.max_unfinished_bytes = 100;
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.finishes = false;
  for (int i = 0; i < 100; ++i) Put(0, "a session of sixteen bytes", static_cast<std::uint64_t>(i + 1));
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  EXPECT_LT(one->owner.Find(0)->window.bytes(), 200u);
}

TEST_F(ShardOwnerTest, WhatOneStuckRecordMakesOthersRemember_IsBounded) {
  // Every record of shard 0 leads to another in shard 1.
  options_.max_follow_ups = 1'000;
  auto one = Make();
  one->service.on_apply = [&](Shard& shard, const Record& record) {
    if (shard.number != 0) return;
    events::v1::RoomRecord said;
    one->owner.FillOrigin(shard, record.offset, 1, *said.mutable_origin());
    one->owner.Append(shard, events::Topic::kRooms, 1, {}, said, [](Shard&, const auto&) {});
  };
  const auto is_read = [&](std::uint32_t shard) {
    return one->owner.Find(shard)->next_read == static_cast<std::int64_t>(Records(shard).size());
  };
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  one->service.finishes = false;
  Put(0, "stuck", 1);
  Settle(*one);
  const std::int64_t stuck = one->owner.Find(0)->window.cursor();
  one->service.finishes = true;
  for (std::uint64_t i = 1; i <= 900; ++i) Put(0, "a", i);
  Settle(*one);
  CommitNow(*one);
  EXPECT_THAT(one->consumer->paused, IsEmpty()) << "nobody else is held up for it";
  for (std::uint64_t i = 901; i <= 5'000; ++i) Put(0, "a", i);
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  EXPECT_LE(one->owner.Find(1)->duplicates.remembered(), 1'002u);
  // The other shard goes on, and time alone changes nothing.
  Put(1, "b", 1);
  Elapse(*one, std::chrono::seconds(600));
  CommitNow(*one);
  EXPECT_TRUE(is_read(1));
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  one->owner.Find(0)->window.Release(stuck);
  // Each commit lets it say as much again.
  ASSERT_TRUE(SettleUntil(*one, [&] {
    one->owner.CommitCursors();
    one->owner.Tick();
    return is_read(0);
  }));
  EXPECT_TRUE(is_read(1));
  CommitNow(*one);
  EXPECT_EQ(one->owner.Find(0)->follow_ups.count(), 0u);
}

TEST_F(ShardOwnerTest, ANewOwnerSaysAgainWhatWasSaid_NothingIsAppliedTwice_AndItGoesLive) {
  options_.max_follow_ups = 40;
  const auto said = [](Process& process) {
    return [&process](Shard& shard, const Record& record) {
      if (shard.number != 0) return;
      events::v1::RoomRecord next;
      process.owner.FillOrigin(shard, record.offset, 1, *next.mutable_origin());
      process.owner.Append(shard, events::Topic::kRooms, 1, {}, next, [](Shard&, const auto&) {});
    };
  };
  auto one = Make("one"), two = Make("two"), three = Make("three");
  one->service.on_apply = said(*one);
  two->service.on_apply = said(*two);
  three->owner.OnAssigned(1);
  one->owner.OnAssigned(0);
  Settle(*three);
  Settle(*one);
  one->service.finishes = false;
  Put(0, "stuck", 1);
  Settle(*one);
  one->service.finishes = true;
  for (std::uint64_t i = 1; i <= 50; ++i) Put(0, "a", i);
  Settle(*one);
  CommitNow(*one);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  Settle(*three);
  EXPECT_EQ(three->owner.metrics().applied.Value(), 41);
  one.reset();
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_TRUE(two->owner.Find(0)->live());
  Settle(*three);
  EXPECT_EQ(three->owner.metrics().applied.Value(), 51) << "and the ten that the first had not read";
  EXPECT_EQ(three->owner.metrics().duplicates_refused.Value(), 41);
  // From here on it says nothing new.
  for (std::uint64_t i = 51; i <= 100; ++i) Put(0, "a", i);
  Settle(*two);
  EXPECT_THAT(two->consumer->paused, ElementsAre(0));
  EXPECT_LE(two->owner.Find(0)->follow_ups.count(), 52u);
}

TEST_F(ShardOwnerTest, HandOver_WaitsForTheLog) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Shard& shard = *one->owner.Find(0);
  bool appended = false;
  events::v1::RoomRecord record;
  one->owner.Append(shard, events::Topic::kRooms, 3, "key", record,
                    [&](Shard&, const auto& offset) { appended = offset.ok(); });
  one->owner.OnRevoking(0);
  time_.Settle(io_);
  EXPECT_THAT(one->consumer->released, IsEmpty());
  Settle(*one);
  EXPECT_TRUE(appended);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
}

TEST_F(ShardOwnerTest, EverythingLost_WhatWasStillToBeSaidIsDropped) {
  auto one = Make();
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  one->owner.OnLost(0);
  EXPECT_EQ(one->log.drops, 0);
  one->owner.OnLost(1);
  EXPECT_EQ(one->log.drops, 1);
}

TEST_F(ShardOwnerTest, ANewerOwnersFenceIsRead_TheShardIsDroppedAtOnce) {
  auto one = Make("one");
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.Take();
  Put(0, "a", 1);
  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  Put(0, "a", 2);
  one->consumer->error = absl::FailedPreconditionError("not a member");
  Settle(*one);
  // The record before the other's fence was its own.
  EXPECT_THAT(one->service.Take(), ElementsAre("apply 1", "forget"));
  EXPECT_THAT(one->published, IsEmpty());
  EXPECT_EQ(one->owner.metrics().superseded.Value(), 1);
  one->owner.OnLost(0);
  Settle(*one);
  EXPECT_EQ(one->owner.owned(), 0u);
}

TEST_F(ShardOwnerTest, AFenceThatCameLate_TheRightfulOwnerTakesTheShardAgain) {
  auto one = Make("one");
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.Take();
  // The fence of a process that was cut off when the shard became ours.
  Records(0).push_back([] {
    events::v1::RoomRecord record;
    record.mutable_fence()->set_shard(0);
    record.mutable_fence()->set_instance("late");
    return FakeBroker::Record{record.SerializeAsString(), kStart};
  }());
  Put(0, "a", 1);
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(),
              ElementsAre("forget", "fenced", "loaded", "reading", "apply 2 again", "live"));
  EXPECT_EQ(one->owner.Find(0)->epoch, 3);
}

TEST_F(ShardOwnerTest, AStoreKnowsOfANewerOwner_TheShardIsAcquiredAfreshWithANewerEpoch) {
  auto one = Make("one");
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  one.reset();
  auto two = Make("two");
  two->service.load_error = absl::FailedPreconditionError("another owner");
  two->service.stored_epoch = 100;
  two->owner.OnAssigned(0);
  ASSERT_TRUE(SettleUntil(*two, [&] { return two->owner.live() == 1; }));
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "not loaded", "forget", "fenced", "loaded", "reading", "live"));
  EXPECT_EQ(two->owner.Find(0)->epoch, 101);
  EXPECT_EQ(two->owner.metrics().superseded.Value(), 1);
  EXPECT_EQ(two->owner.metrics().log_cuts.Value(), 0);
}

// The topic was made anew, and Redis is empty.
TEST_F(ShardOwnerTest, OnlyAStoreKnowsOfOwners_TheLogIsAnother_WhatIsInItIsApplied) {
  Put(0, "a", 1);
  auto one = Make();
  one->service.load_error = absl::FailedPreconditionError("another owner");
  one->service.stored_epoch = 100;
  one->owner.OnAssigned(0);
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "not loaded", "forget", "fenced", "loaded",
                                               "reading a cut log", "apply 0 again", "live"));
  EXPECT_EQ(one->owner.Find(0)->epoch, 101);
  EXPECT_EQ(one->owner.Find(0)->log_since, 101);
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 1);
}

TEST_F(ShardOwnerTest, ALiveShardIsDoubted_ItIsAcquiredAfreshIfTheGroupSaysThatItIsOurs) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Put(0, "a", 1);
  one->service.finishes = false;
  Settle(*one);
  one->service.Take();
  one->consumer->error = absl::FailedPreconditionError("not a member");
  one->owner.Doubt(one->owner.Shared(0));
  const std::size_t records = Records(0).size();
  EXPECT_FALSE(SettleUntil(*one, [&] { return Records(0).size() > records; }));
  EXPECT_THAT(one->service.Take(), ElementsAre("forget"));
  one->consumer->error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "loaded", "reading", "apply 1 again", "live"));
}

TEST_F(ShardOwnerTest, DoubtedByWhoIsAtWorkOnIt_ItIsForgottenLater) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.Take();
  one->service.on_apply = [&](Shard& shard, const Record&) {
    one->owner.Doubt(one->owner.Shared(0));
    EXPECT_FALSE(shard.released());
    one->service.on_apply = nullptr;
  };
  Put(0, "a", 1);
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.owned() == 1 && one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(),
              ElementsAre("apply 1", "forget", "fenced", "loaded", "reading", "finished 1", "live"));
}

TEST_F(ShardOwnerTest, DoubtedWhileItIsHandedOver_ItIsGivenBack) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.OnRevoking(0);
  one->owner.Doubt(one->owner.Shared(0));
  Settle(*one);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
  EXPECT_EQ(one->owner.owned(), 0u);
}

TEST_F(ShardOwnerTest, TheLogDroppedWhatWasNotFinished_IsCounted) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  Committed()[0] = 5;
  broker_.first(events::Topic::kRooms, 0) = 12;
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->owner.metrics().expired.Value(), 7);
  EXPECT_EQ(one->owner.metrics().log_cuts.Value(), 0);
  EXPECT_EQ(one->owner.metrics().applied.Value(), 8);
}

TEST_F(ShardOwnerTest, HowFarBackIsCountedFromTheNewestRecord_WhateverTheNewOwnersClockSays) {
  const std::chrono::minutes offs[] = {std::chrono::minutes(-10), std::chrono::minutes(2),
                                       std::chrono::minutes(10)};
  std::uint32_t shard = 0;
  for (const auto skew : offs) {
    auto one = Make("one");
    one->owner.OnAssigned(static_cast<std::int32_t>(shard));
    Put(shard, "a", 1);
    Settle(*one);
    CommitNow(*one);
    one.reset();  // killed
    Advance(std::chrono::seconds(6));
    auto two = Make("two", skew);
    two->owner.OnAssigned(static_cast<std::int32_t>(shard));
    Settle(*two);
    two->service.Take();
    Put(shard, "a", 1);  // said again
    Settle(*two);
    EXPECT_THAT(two->service.Take(), IsEmpty()) << skew.count();
    ++shard;
  }
}

TEST_F(ShardOwnerTest, TheCursorHasStoodStill_WhatWasSaidAgainBehindItIsRecognised) {
  auto one = Make("one");
  one->owner.OnAssigned(0);
  Put(0, "a", 1);
  Settle(*one);
  one->service.finishes = false;
  Put(0, "b", 1);
  Settle(*one);
  CommitNow(*one);
  one->service.finishes = true;
  Elapse(*one, std::chrono::seconds(10));
  const std::size_t again = Records(0).size();
  Put(0, "a", 1);
  for (std::uint64_t i = 1; i <= 30; ++i) {
    Elapse(*one, std::chrono::seconds(10));
    Put(0, "c", i);
  }
  Settle(*one);
  CommitNow(*one);
  one.reset();  // killed
  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  ASSERT_EQ(two->owner.live(), 1);
  const auto steps = two->service.Take();
  EXPECT_THAT(steps, ::testing::Contains("apply " + std::to_string(again + 1) + " again"));
  EXPECT_THAT(steps, ::testing::Not(::testing::Contains("apply " + std::to_string(again) + " again")));
}

TEST_F(ShardOwnerTest, LoadTakesLong_WhatIsSaidAgainMeanwhileIsRecognised) {
  auto one = Make("one");
  one->owner.OnAssigned(0);
  Put(0, "a", 1);
  Settle(*one);
  CommitNow(*one);
  one.reset();  // killed
  auto two = Make("two");
  two->service.stalls = true;
  two->owner.OnAssigned(0);
  Settle(*two);
  Put(0, "a", 1);
  Elapse(*two, std::chrono::minutes(5));
  two->service.stalls = false;
  ASSERT_TRUE(SettleUntil(*two, [&] { return two->owner.live() == 1; }));
  EXPECT_EQ(two->owner.metrics().applied.Value(), 0);
}

// Kafka was away, and the shard has had several owners since: what somebody said before, and did not hear the
// end of, is said again.
TEST_F(ShardOwnerTest, TheLogStoodStill_WhatWasSaidBeforeIsKnownToEveryLaterOwner) {
  for (std::uint64_t count = 1; count <= 20; ++count) Put(0, "a", count);
  Committed()[0] = 20;
  Advance(std::chrono::minutes(20));
  for (int i = 0; i < 3; ++i) {
    auto former = Make();
    former->owner.OnAssigned(0);
    Settle(*former);
    CommitNow(*former);
    Advance(std::chrono::seconds(1));
  }
  EXPECT_GT(Committed()[0], 20);
  auto last = Make();
  last->owner.OnAssigned(0);
  Settle(*last);
  last->service.Take();
  Put(0, "a", 20);
  Put(0, "a", 21);
  Settle(*last);
  EXPECT_THAT(last->service.Take(), ElementsAre("apply 25"));
}

TEST_F(ShardOwnerTest, AfterALongSilence_LittleMoreThanTheHorizonIsReadAgain) {
  for (int i = 0; i < 600; ++i) {
    Put(0, "a", static_cast<std::uint64_t>(i + 1));
    Advance(std::chrono::seconds(10));
  }
  Committed()[0] = 600;
  Advance(std::chrono::hours(24));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  const auto steps = one->service.Take();
  // 12 records for each horizon of 2 minutes.
  EXPECT_THAT(steps, ::testing::Contains("finished 590"));
  EXPECT_LE(steps.size(), 40u);
  EXPECT_LE(one->consumer->questions, 35);
}

TEST_F(ShardOwnerTest, OutOfTheGroup_WhatWasAskedBefore_IsAnsweredInVain_AndItJoinsAgain) {
  auto one = Make();
  one->consumer->is_away = true;
  one->owner.OnAssigned(0);
  Settle(*one);
  ASSERT_EQ(one->consumer->asked, 1);
  one->service.able = false;
  Elapse(*one, ShardOwner::kUnable + std::chrono::seconds(3));
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.owned() == 0; }));
  Put(0, "a", 1);
  one->service.able = true;
  Elapse(*one, std::chrono::seconds(1));
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->joined == 1; }));
  EXPECT_THAT(one->service.Take(), ElementsAre("forget"));
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "loaded", "reading", "apply 0 again", "live"));
}

TEST_F(ShardOwnerTest, ItKnowsSinceWhenItHasReadTheShard) {
  Put(0, "a", 1);
  Advance(std::chrono::minutes(10));
  Put(0, "a", 2);
  Advance(std::chrono::minutes(30));  // of silence
  auto one = Make();
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  const auto age = time_.Now() - one->owner.Find(0)->read_since;
  // Silence does not count.
  EXPECT_GE(age, std::chrono::minutes(40));
  EXPECT_LT(age, std::chrono::minutes(50));
  EXPECT_GT(time_.Now() - one->owner.Find(1)->read_since, std::chrono::hours(1'000)) << "its log is empty";
  // A clock that is behind those who write.
  auto two = Make("two", std::chrono::hours(-1));
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_GE(time_.Now() - two->owner.Find(0)->read_since, options_.duplicate_horizon);
}

TEST_F(ShardOwnerTest, UnreadableRecordsAreCountedAndPassed) {
  Records(0).push_back({"\xff\xff no record", kStart});
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->owner.live(), 1u);
  EXPECT_EQ(one->owner.metrics().unreadable.Value(), 1);
  EXPECT_EQ(one->owner.Find(0)->window.cursor(), 2);
}

TEST_F(ShardOwnerTest, WhatIsInTheLogAndNotRead_IsNotWaitedForBeyondTheLimit) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Records(0).push_back({"another's, on its way to us", kStart});
  absl::Status read;
  const auto wait = [](ShardOwner& owner, absl::Status& status) -> Task<void> {
    status = co_await owner.AwaitAllRead(owner.Shared(0), Deadline::At(SteadyNow()));
  };
  one->owner.Find(0)->Spawn("wait", wait(one->owner, read));
  time_.Settle(io_);
  EXPECT_TRUE(absl::IsDeadlineExceeded(read)) << read;
}

TEST_F(ShardOwnerTest, WhatIsInTheLogAndNotRead_IsWaitedFor) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  const auto wait = [](ShardOwner& owner, bool& is_read) -> Task<void> {
    EXPECT_TRUE((co_await owner.AwaitAllRead(owner.Shared(0), Deadline::Never())).ok());
    is_read = true;
  };
  bool nothing_to_read = false;
  one->owner.Find(0)->Spawn("wait", wait(one->owner, nothing_to_read));
  time_.Settle(io_);
  EXPECT_TRUE(nothing_to_read);
  Records(0).push_back({"\xff\xff another's, on its way to us", kStart});
  bool is_read = false;
  one->owner.Find(0)->Spawn("wait", wait(one->owner, is_read));
  time_.Settle(io_);
  EXPECT_FALSE(is_read);
  Settle(*one);
  RunFor(*one, std::chrono::seconds(1));
  EXPECT_TRUE(is_read);
}

TEST_F(ShardOwnerTest, NotReadyBeforeShardsAreLive) {
  auto one = Make();
  EXPECT_EQ(one->owner.NotReadyReason(), "no shard is assigned yet");
  one->owner.OnAssigned(0);
  EXPECT_EQ(one->owner.NotReadyReason(), "recovering 1 of 1 shards");
  Settle(*one);
  EXPECT_EQ(one->owner.NotReadyReason(), "");
}

TEST_F(ShardOwnerTest, NeverGivenAShard_ReadyAllTheSameOnceTheGroupHasSettled) {
  auto one = Make();
  Advance(std::chrono::seconds(11));
  EXPECT_EQ(one->owner.NotReadyReason(), "");
}

// ---- what a shard that went still has to say ---------------------------------------

class LastWordsTest : public ShardOwnerTest {
 protected:
  LastWordsTest() { options_.duplicate_horizon = std::chrono::milliseconds(400); }
  /// Owns two shards; what the first one says does not reach the log.
  std::unique_ptr<Process> MakeStuck() {
    auto process = Make();
    process->owner.OnAssigned(0);
    process->owner.OnAssigned(1);
    Settle(*process);
    broker_.holds = [](const FakeBroker::Pending& pending) { return pending.topic == events::Topic::kUsers; };
    process->owner.Append(*process->owner.Find(0), events::Topic::kUsers, 0, "key", events::v1::RoomRecord(),
                          [](Shard&, const absl::StatusOr<std::int64_t>&) {});
    process->service.Take();
    return process;
  }
  std::size_t Said() { return broker_.records(events::Topic::kUsers, 0).size(); }
};

TEST_F(LastWordsTest, TheyComeInTime_TheShardsThatStayAreNotTouched) {
  auto one = MakeStuck();
  one->owner.OnLost(0);
  Settle(*one);
  broker_.holds = nullptr;
  Settle(*one);
  EXPECT_EQ(Said(), 1u);
  RunFor(*one, std::chrono::milliseconds(150));
  EXPECT_EQ(one->log.drops, 0);
  EXPECT_THAT(one->service.Take(), ElementsAre("forget"));
  EXPECT_TRUE(one->owner.Find(1)->live());
}

TEST_F(LastWordsTest, TheyDoNot_AllIsGivenUp_AndTheShardsThatStayAreAcquiredAfresh) {
  auto one = MakeStuck();
  one->owner.OnRevoking(0);
  ASSERT_TRUE(SettleUntil(*one, [&] { return !one->consumer->released.empty(); }));
  EXPECT_EQ(one->log.drops, 0);
  EXPECT_EQ(one->log.in_flight(), 1u);
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->log.drops > 0; }));
  broker_.holds = nullptr;
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_EQ(Said(), 0u) << "what a former turn had to say";
  EXPECT_EQ(one->log.in_flight(), 0u);
  EXPECT_EQ(one->owner.metrics().surrenders.Value(), 1);
  RunFor(*one, std::chrono::milliseconds(150));
  EXPECT_EQ(one->log.drops, 1) << "once";
}

}  // namespace
}  // namespace rookery::sharding
