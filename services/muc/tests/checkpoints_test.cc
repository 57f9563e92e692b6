// The state of rooms that is kept from owner to owner, and when: R4, R6, R7.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "muc_cluster.h"

namespace rookery::muc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RoomCheckpoints : public ::testing::Test, protected MucCluster {
 protected:
  MucProcess& StartLive(std::uint32_t shard = 1) {
    MucProcess& process = Start();
    Assign(process, shard);
    EXPECT_TRUE(RunUntil([&] { return IsLive(process, shard); }));
    return process;
  }
  /// Holds what follows from the room's records on its way to the log.
  void HoldUsers(const std::string& room) {
    broker_.holds = [room](const FakeBroker::Pending& pending) {
      return pending.topic == events::Topic::kUsers && pending.value.find(room) != std::string::npos;
    };
  }
  std::string StoredMood() { return database_.rooms[room_].occupants["firstwitch"].ShortDebugString(); }
  std::int64_t Mood(const std::string& mood) { return Show(crone_, room_ + "/firstwitch", mood); }
  /// Keeps the cursor of the shard where it is.
  void KeepCursor() {
    HoldUsers(other_);
    Enter(hag_, other_, "hermit");
    Settle();
  }

  const std::string room_ = RoomIn(1), other_ = RoomIn(1, 1);
  const std::string crone_ = "crone1@example.org/desktop";
  const std::string hag_ = "hag66@example.org/pda";
};

TEST_F(RoomCheckpoints, R4_IsWrittenWhenAllThatFollowsIsInTheLog) {
  MucProcess& process = StartLive();
  HoldUsers(room_);
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(10));
  EXPECT_EQ(database_.calls["Save"], 0);
  EXPECT_EQ(process.shard(1).window.size(), 1u);
  broker_.holds = nullptr;
  Elapse(milliseconds(100));
  EXPECT_EQ(database_.calls["Save"], 1);
  EXPECT_EQ(process.shard(1).window.size(), 0u);
}

TEST_F(RoomCheckpoints, R4_WhatFollowsFromRecordsThatChangedNothing_IsAwaitedToo) {
  StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  const int saves = database_.calls["Save"];
  HoldUsers(room_);
  // From one who is not in.
  Say("<message type='groupchat' from='" + hag_ + "' to='" + room_ + "'><body>x</body></message>");
  Settle();
  broker_.holds = [](const FakeBroker::Pending& pending) {
    return pending.topic == events::Topic::kUsers && pending.value.find("error") != std::string::npos;
  };
  Mood("brewing");
  Elapse(seconds(5));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("brewing")));
  EXPECT_EQ(database_.calls["Save"], saves);
  broker_.holds = nullptr;
  Elapse(milliseconds(100));
  EXPECT_EQ(database_.calls["Save"], saves + 1);
}

TEST_F(RoomCheckpoints, R4_RoomsThatWaitForTheLog_KeepNoOthersFromTheStore) {
  StartLive();
  // More than are written at a time say something that the log does not take.
  std::vector<std::string> stuck;
  for (std::size_t i = 0; i < Checkpointer::kMaxSaving + 20; ++i)
    stuck.push_back(RoomIn(1, static_cast<int>(i) + 10));
  broker_.holds = [&](const FakeBroker::Pending& pending) {
    return pending.topic == events::Topic::kUsers &&
           pending.value.find("@stuck.example") != std::string::npos;
  };
  for (std::size_t i = 0; i < stuck.size(); ++i)
    Enter("who" + std::to_string(i) + "@stuck.example/home", stuck[i], "me");
  Elapse(seconds(2));
  ASSERT_EQ(database_.calls["Save"], 0);
  Enter(crone_, room_, "firstwitch");
  Elapse(milliseconds(200));
  EXPECT_TRUE(database_.rooms.contains(room_));
  broker_.holds = nullptr;
  Elapse(seconds(1));
  for (const std::string& room : stuck) EXPECT_TRUE(database_.rooms.contains(room)) << room;
}

TEST_F(RoomCheckpoints, R4_NoMoreThanSoManyAreWrittenAtATime) {
  StartLive();
  std::size_t open = 0, most = 0;
  database_.on_call = [&](std::string_view call) -> Task<void> {
    if (call != "Save") co_return;
    most = std::max(most, ++open);
    co_await runtime::Sleep(milliseconds(100));
    --open;
  };
  HoldUsers("@");
  for (int i = 0; i < 300; ++i) Enter(crone_, RoomIn(1, i), "me");
  Settle();
  broker_.holds = nullptr;
  Elapse(seconds(3));
  EXPECT_EQ(most, Checkpointer::kMaxSaving);
  EXPECT_EQ(database_.rooms.size(), 300u);
}

TEST_F(RoomCheckpoints, R4_EveryRoomOnceASecond_OneThatIsMadeOrEndsAtOnce) {
  StartLive();
  Enter(crone_, room_, "firstwitch");
  Settle();
  EXPECT_EQ(database_.calls["Save"], 1);
  for (int i = 0; i < 100; ++i) {
    Mood(std::to_string(i));
    Elapse(milliseconds(50));
  }
  EXPECT_GE(database_.calls["Save"], 5);
  EXPECT_LE(database_.calls["Save"], 7);
  Elapse(seconds(2));
  EXPECT_THAT(StoredMood(), HasSubstr("99"));
  const int saves = database_.calls["Save"];
  Leave(crone_, room_);
  Settle();
  EXPECT_EQ(database_.calls["Save"], saves + 1);
  EXPECT_FALSE(database_.rooms.contains(room_));
}

TEST_F(RoomCheckpoints, R4_RecordsThatItHoldsAreNotAppliedAgain_AndNothingOfThemIsSaidAgain) {
  MucProcess& one = StartLive();
  KeepCursor();
  Enter(crone_, room_, "firstwitch");
  const std::int64_t held = Mood("brewing");
  Elapse(seconds(3));
  ASSERT_THAT(StoredMood(), HasSubstr("brewing"));
  ASSERT_LT(committed(1), held);
  const std::size_t said = SaidOf(1, held).size();
  Kill(one);
  broker_.holds = nullptr;
  const std::int64_t since = Mood("tired");
  MucProcess& two = StartLive();
  Elapse(seconds(3));
  EXPECT_EQ(SaidOf(1, held).size(), said);
  EXPECT_EQ(audience_.repetitions, 0);
  EXPECT_THAT(SaidOf(1, since), SizeIs(said));
  EXPECT_EQ(two.muc_metrics.stanzas.Value(), 2) << "the mood, and the hermit";
  EXPECT_THAT(StoredMood(), HasSubstr("tired"));
}

TEST_F(RoomCheckpoints, R4_TheStoreIsAwayForAMinute_LoadedRoomsGoOn_UntilTooMuchIsUnfinished) {
  options_.max_unfinished_records = 50;
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  TakeHeard(crone_);
  database_.is_down = true;
  for (int i = 0; i < 100; ++i) {
    Mood(std::to_string(i));
    Elapse(milliseconds(600));
  }
  const std::size_t heard = TakeHeard(crone_).size();
  EXPECT_GE(heard, 50u);
  EXPECT_LE(heard, 52u);
  EXPECT_LE(process.shard(1).window.size(), 52u);
  EXPECT_THAT(process.consumer->paused, ElementsAre(1));
  database_.is_down = false;
  Elapse(seconds(10));
  EXPECT_THAT(process.consumer->paused, IsEmpty());
  EXPECT_THAT(TakeHeard(crone_), SizeIs(100 - heard));
  EXPECT_THAT(StoredMood(), HasSubstr("99"));
  EXPECT_EQ(process.shard(1).window.size(), 0u);
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));
}

TEST_F(RoomCheckpoints, R4_TheStoresAnswersAreLost_ItIsWrittenAgain) {
  MucProcess& process = StartLive();
  database_.is_ambiguous = true;
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(3));
  Mood("brewing");
  Elapse(seconds(3));
  EXPECT_GT(process.shard(1).window.size(), 0u);
  database_.is_ambiguous = false;
  Elapse(seconds(5));
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  EXPECT_EQ(process.shard(1).window.size(), 0u);
}

// ---- hand-over ------------------------------------------------------------------

TEST_F(RoomCheckpoints, R4_AHandOverWritesTheLast_TheNextOwnerAppliesNothingAgain) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  Mood("brewing");
  Settle();
  ASSERT_TRUE(Revoke(one, 1));
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));
  EXPECT_THAT(one.consumer->released, ElementsAre(1));
  TakeHeard(crone_);
  MucProcess& two = StartLive();
  Mood("tired");
  Elapse(seconds(1));
  EXPECT_EQ(two.muc_metrics.stanzas.Value(), 1);
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("tired")));
}

TEST_F(RoomCheckpoints, R4_AHandOverWaitsForTheLog_ButNotForEver) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  HoldUsers(room_);
  Mood("brewing");
  Settle();
  one.owner.OnRevoking(1);
  Elapse(seconds(1));
  EXPECT_NE(one.owner.Find(1), nullptr);
  broker_.holds = nullptr;
  Elapse(milliseconds(100));
  EXPECT_EQ(one.owner.Find(1), nullptr);
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));

  MucProcess& two = StartLive();
  HoldUsers(room_);
  const std::int64_t offset = Mood("tired");
  Settle();
  two.owner.OnRevoking(1);
  Elapse(seconds(4));
  EXPECT_EQ(two.owner.Find(1), nullptr);
  EXPECT_EQ(committed(1), offset);
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  broker_.holds = nullptr;
  StartLive();
  Elapse(seconds(2));
  EXPECT_THAT(StoredMood(), HasSubstr("tired"));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("tired")).Times(1));
}

TEST_F(RoomCheckpoints, R4_AHandOverWhileTheStoreIsAway_EndsInTime_AndNothingIsLost) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  database_.is_down = true;
  Mood("brewing");
  Settle();
  one.owner.OnRevoking(1);
  Elapse(seconds(3));
  EXPECT_EQ(one.owner.Find(1), nullptr);
  database_.is_down = false;
  StartLive();
  Elapse(seconds(2));
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("brewing")).Times(1));
}

// ---- a log that was cut ---------------------------------------------------------

TEST_F(RoomCheckpoints, R4_TheLogWasCut_WhatComesAfterIsApplied_ByTheNextOwnersToo) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  for (int i = 0; i < 30; ++i) {
    Mood(std::to_string(i));
    Elapse(milliseconds(100));
  }
  Elapse(seconds(3));
  Kill(one);
  const std::int64_t applied = database_.rooms[room_].applied;
  ASSERT_GE(applied, 30);
  Records(1).resize(10);

  MucProcess& two = StartLive();
  HoldUsers(room_);
  const std::int64_t offset = Mood("after the cut");
  ASSERT_LT(offset, applied);
  for (int i = 0; i < 40; ++i) Enter(hag_, other_, "hermit");
  Elapse(seconds(3));
  EXPECT_EQ(two.slot(room_)->applied, offset);
  ASSERT_EQ(database_.rooms[room_].applied, applied) << "no checkpoint";
  Kill(two);

  broker_.holds = nullptr;
  MucProcess& three = StartLive();
  ASSERT_GT(three.shard(1).fence_offset, applied);
  Elapse(seconds(3));
  EXPECT_THAT(StoredMood(), HasSubstr("after the cut"));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("after the cut")).Times(1));
}

TEST_F(RoomCheckpoints, R4_TheLogWasCutLongAgo_NewOffsetsAreNotTakenForOldOnes) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  for (int i = 0; i < 30; ++i) Mood(std::to_string(i));
  Elapse(seconds(3));
  Kill(one);
  const std::int64_t applied = database_.rooms[room_].applied;
  Records(1).resize(1);
  MucProcess& two = StartLive();
  Elapse(seconds(3));
  ASSERT_EQ(two.slot(room_), nullptr);
  // Of silence little would count.
  for (int i = 0; i < 20; ++i) {
    Enter(hag_, other_, "hermit");
    Elapse(minutes(1));
  }
  Kill(two);
  MucProcess& three = StartLive();
  Elapse(seconds(1));
  ASSERT_EQ(three.shard(1).log_since, -1) << "the fence that says so is not read any more";
  ASSERT_LT(Mood("after the cut"), applied);
  Elapse(seconds(2));
  EXPECT_THAT(StoredMood(), HasSubstr("after the cut"));
}

// ---- rooms that were destroyed --------------------------------------------------

TEST_F(RoomCheckpoints, R6_ARoomIsNotMadeAnewOfWhatWasSaidInIt) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  const std::string earlier = RoomIn(1, 2);
  Enter(crone_, earlier, "firstwitch");
  Leave(crone_, earlier);
  Elapse(seconds(2));
  KeepCursor();
  Enter(hag_, room_, "firstwitch");  // a conflict
  Leave(crone_, room_);
  Elapse(Checkpointer::kForgetEvery * 2);
  ASSERT_FALSE(database_.rooms.contains(room_));
  EXPECT_FALSE(database_.destroyed.contains(earlier));
  EXPECT_TRUE(database_.destroyed.contains(room_));
  TakeHeard(hag_);
  Kill(one);
  broker_.holds = nullptr;
  MucProcess& two = StartLive();
  Elapse(seconds(2));
  EXPECT_FALSE(two.slot(room_)->room->exists());
  EXPECT_FALSE(database_.rooms.contains(room_));
  EXPECT_THAT(TakeHeard(hag_), ::testing::Each(HasSubstr(other_))) << "the hermit alone";
}

TEST_F(RoomCheckpoints, R6_OnceTheCursorHasPassed_NothingIsKeptOfThem) {
  StartLive();
  Enter(hag_, other_, "hermit");
  Elapse(Checkpointer::kForgetEvery);
  ASSERT_EQ(database_.calls["ForgetDestroyed"], 1) << "what earlier owners have left";
  Enter(crone_, room_, "firstwitch");
  Leave(crone_, room_);
  Elapse(milliseconds(100));
  EXPECT_THAT(database_.destroyed, SizeIs(1));
  Elapse(Checkpointer::kForgetEvery + seconds(2));
  EXPECT_THAT(database_.destroyed, IsEmpty());
  Elapse(minutes(1));
  EXPECT_EQ(database_.calls["ForgetDestroyed"], 2);
}

TEST_F(RoomCheckpoints, R6_WhatAFormerOwnerHasLeftOfThemGoesToo) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Leave(crone_, room_);
  Elapse(milliseconds(200));
  ASSERT_TRUE(Revoke(one, 1));
  EXPECT_THAT(database_.destroyed, SizeIs(1));
  StartLive();
  Elapse(seconds(1));
  EXPECT_THAT(database_.destroyed, IsEmpty());
}

TEST_F(RoomCheckpoints, R6_OneThatIsMadeAgainStays) {
  StartLive();
  Enter(crone_, room_, "firstwitch");
  Leave(crone_, room_);
  Elapse(milliseconds(200));
  Enter(crone_, room_, "firstwitch");
  Elapse(Checkpointer::kForgetEvery * 2);
  EXPECT_TRUE(database_.rooms.contains(room_));
}

// ---- newer owners ---------------------------------------------------------------

TEST_F(RoomCheckpoints, R7_TheStoreKnowsANewerOwner_WhoseFenceWasLate_TheShardIsAcquiredAfresh) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  const std::int64_t epoch = process.shard(1).epoch;
  database_.claims.rows[1].epoch = epoch + 100;
  Mood("brewing");
  Elapse(seconds(3));
  ASSERT_TRUE(IsLive(process, 1));
  EXPECT_GT(process.shard(1).epoch, epoch + 100);
  EXPECT_EQ(database_.claims.rows[1].epoch, process.shard(1).epoch);
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("brewing")).Times(1));
}

TEST_F(RoomCheckpoints, R7_TheStoreKnowsANewerOwnerFromTheBeginning) {
  database_.claims.rows[1].epoch = 1'000'000;
  MucProcess& process = Start();
  Assign(process, 1);
  Elapse(seconds(2));
  ASSERT_TRUE(IsLive(process, 1));
  EXPECT_EQ(process.shard(1).epoch, 1'000'001);
  EXPECT_THAT(Records(1), SizeIs(1))
      << "one fence: the store was asked before it, as the group has no cursor";
}

TEST_F(RoomCheckpoints, R7_WhoIsNoMemberAnyMore_WritesNothingAndSaysNothing) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  // The group has given the shard to another, and has not told the first one.
  one.consumer->paused.insert(1);
  one.consumer->commit_error = absl::FailedPreconditionError("no member");
  MucProcess& two = StartLive();
  Mood("brewing");
  Elapse(seconds(1));
  one.consumer->paused.clear();
  Elapse(seconds(5));
  EXPECT_FALSE(IsLive(one, 1));
  EXPECT_TRUE(IsLive(two, 1));
  EXPECT_EQ(database_.claims.rows[1].epoch, two.shard(1).epoch);
  EXPECT_THAT(StoredMood(), HasSubstr("brewing"));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("brewing")).Times(1));
}

TEST_F(RoomCheckpoints, R7_AHandOverOfWhatANewerOwnerHasClaimed_EndsAtOnce) {
  MucProcess& one = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  Mood("brewing");
  Settle();
  database_.claims.rows[1].epoch = 1'000;
  one.owner.OnRevoking(1);
  Elapse(milliseconds(200));
  EXPECT_EQ(one.owner.Find(1), nullptr);
  EXPECT_THAT(one.consumer->released, ElementsAre(1));
}

TEST_F(RoomCheckpoints, R7_FrozenWhileARoomWasLoaded_NothingIsAppliedBeforeItIsCertain) {
  MucProcess& process = StartLive();
  database_.HoldAnswers();
  Enter(crone_, room_, "firstwitch");
  Elapse(milliseconds(100));
  time_.JumpTo(time_.Now() + seconds(10));
  process.consumer->commit_error = absl::UnavailableError("no coordinator");
  database_.ReleaseAnswers();
  Elapse(seconds(1));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 0);
  EXPECT_THAT(TakeHeard(crone_), IsEmpty());
  process.consumer->commit_error = absl::OkStatus();
  Elapse(seconds(3));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 1);
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("201")));
}

}  // namespace
}  // namespace rookery::muc::testing
