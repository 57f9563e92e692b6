// Verdicts: what the owner of a room has to find out about a record before it applies it, and says in the
// log: R1.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "muc_cluster.h"

namespace rookery::muc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class RoomVerdicts : public ::testing::Test, protected MucCluster {
 protected:
  RoomVerdicts() { settings_.max_rooms_per_user = 1; }
  void TearDown() override {
    for (const auto& process : processes_)
      EXPECT_EQ(process->muc_metrics.rooms_without_verdict.Value(), 0) << process->name;
  }

  MucProcess& StartLive() {
    MucProcess& process = Start();
    Assign(process, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
    return process;
  }
  /// The account of crone_ has as many rooms as it may have.
  void MakeEnough() {
    MemoryRoomDatabase::Room room;
    room.listing.service = "conference.example.org";
    room.state.set_creator("crone1@example.org");
    database_.rooms["made@conference.example.org"] = room;
  }
  std::int64_t Message(const std::string& who) {
    return Say("<message type='groupchat' from='" + who + "' to='" + room_ + "'><body>x</body></message>");
  }
  /// Verdicts stay on their way to the log.
  void HoldVerdicts() {
    broker_.holds = [](const FakeBroker::Pending& pending) {
      events::v1::RoomRecord record;
      return pending.topic == events::Topic::kRooms && record.ParseFromString(pending.value) &&
             record.has_verdict();
    };
  }
  void HoldUsers() {
    broker_.holds = [](const auto& pending) { return pending.topic == events::Topic::kUsers; };
  }

  const std::string room_ = RoomIn(1);
  const std::string crone_ = "crone1@example.org/desktop";
  const std::string hag_ = "hag66@example.org/pda";
};

auto IsWait() { return HasSubstr("type=\"wait\""); }

TEST_F(RoomVerdicts, R1_WhoHasMadeTooManyRooms_MakesNoMore) {
  StartLive();
  MakeEnough();
  const std::int64_t offset = Enter(crone_, room_, "firstwitch");
  Enter(hag_, room_, "thirdwitch");
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(AllOf(HasSubstr("not-allowed"), HasSubstr("too many rooms"),
                                                   HasSubstr(" by=\"" + room_ + "\""))));
  EXPECT_THAT(TakeHeard(hag_), ElementsAre(HasSubstr("201")));
  const auto verdicts = Verdicts(1);
  ASSERT_THAT(verdicts, SizeIs(2));
  EXPECT_EQ(verdicts[0].room(), room_);
  EXPECT_EQ(verdicts[0].offset(), offset);
  EXPECT_EQ(verdicts[0].condition(), "not-allowed");
  EXPECT_EQ(verdicts[1].condition(), "");
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));
}

TEST_F(RoomVerdicts, R1_RoomsThatAreMadeAtTheSameTimeAreCounted_TemporaryOnesToo) {
  settings_.max_rooms_per_user = 3;
  StartLive();
  for (int i = 0; i < 5; ++i) Enter(crone_, RoomIn(1, i), "firstwitch");
  Elapse(seconds(2));
  int made = 0, refused = 0;
  for (const std::string& one : TakeHeard(crone_)) {
    made += one.find("code=\"201\"") != std::string::npos ? 1 : 0;
    refused += one.find("too many rooms") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(made, 3);
  EXPECT_EQ(refused, 2);
}

TEST_F(RoomVerdicts, R1_WhoDoesNotSpeakMuc_MakesNoRoom_AndNothingIsCounted) {
  settings_.admits_groupchat_1 = false;
  StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("code=\"333\"")));
  EXPECT_THAT(Verdicts(1), IsEmpty());
  EXPECT_EQ(database_.calls["Reserve"], 0);
  Say("<presence from='" + crone_ + "' to='" + room_ +
      "/firstwitch'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("201")));
  EXPECT_EQ(database_.rooms[room_].state.creator(), "crone1@example.org");
}

TEST_F(RoomVerdicts, R1_WhatComesBehindARecordWaitsForItsVerdict_OtherRoomsDoNot) {
  MucProcess& process = StartLive();
  const std::string other = RoomIn(1, 1);
  Enter(hag_, other, "hermit");
  Elapse(seconds(1));
  TakeHeard(hag_);
  HoldVerdicts();
  Enter(crone_, room_, "firstwitch");
  Enter(hag_, room_, "thirdwitch");
  Show(crone_, room_ + "/firstwitch", "mood");
  Show(hag_, other + "/hermit", "alone");
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(crone_), IsEmpty());
  EXPECT_THAT(TakeHeard(hag_), ElementsAre(HasSubstr("alone")));
  broker_.holds = nullptr;
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("201"), HasSubstr("thirdwitch"), HasSubstr("mood")));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 5);
  EXPECT_EQ(database_.calls["Reserve"], 2);
}

TEST_F(RoomVerdicts, R1_NobodyKnowsHowManyRoomsSomebodyHasMade_NoneIsMade) {
  StartLive();
  Message(crone_);  // and the room is known not to exist
  Elapse(milliseconds(100));
  TakeHeard(crone_);
  database_.is_down = true;
  Enter(crone_, room_, "firstwitch");
  Elapse(milliseconds(500));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(AllOf(HasSubstr("<presence"), IsWait())));
  database_.is_down = false;
  Elapse(seconds(10));
  EXPECT_FALSE(database_.rooms.contains(room_));
}

TEST_F(RoomVerdicts, R1_WhoWasToldThatTheRoomCannotBeLoaded_IsRefusedByEveryLaterOwner) {
  MucProcess& one = StartLive();
  database_.is_down = true;
  Leave(hag_, room_);  // keeps the cursor
  EnterByMuc(crone_, room_, "firstwitch");
  Elapse(RoomLoader::kPatience + seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(IsWait()));
  Kill(one);
  database_.is_down = false;
  MucProcess& two = StartLive();
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), IsEmpty());
  EXPECT_EQ(audience_.repetitions, 1);
  EXPECT_FALSE(two.slot(room_)->room->exists());
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));
}

TEST_F(RoomVerdicts, R1_ItsOwnerDiesBeforeTheSenderIsTold_TheNextOneTells) {
  MucProcess& one = StartLive();
  database_.is_down = true;
  HoldUsers();
  EnterByMuc(crone_, room_, "firstwitch");
  Elapse(RoomLoader::kPatience + seconds(1));
  ASSERT_THAT(Verdicts(1), SizeIs(1));
  Kill(one);
  broker_.holds = nullptr;
  database_.is_down = false;
  MucProcess& two = StartLive();
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(IsWait()));
  EXPECT_FALSE(two.slot(room_)->room->exists());
}

TEST_F(RoomVerdicts, R1_ItsOwnerDiesBeforeItIsInTheLog_TheNextOneFindsItsOwn) {
  MucProcess& one = StartLive();
  database_.is_down = true;
  HoldVerdicts();
  Enter(crone_, room_, "firstwitch");
  Elapse(RoomLoader::kPatience + seconds(1));
  Kill(one);
  broker_.holds = nullptr;
  database_.is_down = false;
  StartLive();
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("201")));
}

// Else the next owner applies what a later one refuses.
TEST_F(RoomVerdicts, R1_OneOfAFormerOwner_BehindTheFenceOfTheNext_IsNone) {
  settings_.max_rooms_per_user = 0;
  MucProcess& one = StartLive();
  database_.is_down = true;
  HoldVerdicts();
  EnterByMuc(crone_, room_, "firstwitch");
  Elapse(RoomLoader::kPatience + seconds(1));
  Kill(one, /*lose=*/false);
  database_.is_down = false;
  MucProcess& two = StartLive();
  Settle();
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("201")));
  broker_.holds = nullptr;
  Settle();
  ASSERT_THAT(Verdicts(1), SizeIs(1)) << "it has come at last";
  Kill(two);  // before a checkpoint
  database_.rooms.clear();
  MucProcess& three = StartLive();
  Elapse(seconds(2));
  EXPECT_TRUE(three.slot(room_)->room->exists());
  EXPECT_THAT(TakeHeard(crone_), IsEmpty());
  EXPECT_EQ(three.owner.metrics().stale_epochs_refused.Value(), 1);
}

TEST_F(RoomVerdicts, R1_ANewOwnersOwnVerdict_IsNotTakenForARepetitionOfTheFormerOnes) {
  MucProcess& one = StartLive();
  HoldVerdicts();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  Kill(one, /*lose=*/false);
  StartLive();
  broker_.holds = nullptr;
  Elapse(seconds(2));
  ASSERT_THAT(Verdicts(1), SizeIs(2));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("201")));
}

TEST_F(RoomVerdicts, R1_TheRoomIsLoadedWhileVerdictsAreOnTheirWay_EachOfThemIsAwaited) {
  MucProcess& process = StartLive();
  database_.is_down = true;
  HoldVerdicts();
  Message(crone_);
  Message(hag_);
  Message(crone_);
  Elapse(RoomLoader::kPatience + seconds(1));
  database_.is_down = false;
  Elapse(seconds(5));
  ASSERT_NE(process.slot(room_)->room, nullptr);
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 0);
  broker_.holds = nullptr;
  Elapse(seconds(1));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 0);
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(IsWait(), IsWait()));
  EXPECT_THAT(TakeHeard(hag_), ElementsAre(IsWait()));
}

TEST_F(RoomVerdicts, R1_OnlyTheFirstOneHolds) {
  MucProcess& one = StartLive();
  HoldUsers();
  const std::int64_t offset = Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  events::v1::RoomRecord second;
  ASSERT_THAT(Verdicts(1), SizeIs(1));
  ASSERT_TRUE(second.ParseFromString(Records(1).back().value));
  second.mutable_verdict()->set_condition("forbidden");
  Records(1).push_back({second.SerializeAsString(), time_.UnixMillisNow()});
  Elapse(seconds(1));
  Kill(one);
  broker_.holds = nullptr;
  StartLive();
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(AllOf(HasSubstr("201"), Not(HasSubstr("forbidden")))));
  EXPECT_EQ(second.verdict().offset(), offset);
}

TEST_F(RoomVerdicts, R1_OneAboutWhatIsFinished_OrNeverWas_ChangesNothing) {
  MucProcess& process = StartLive();
  for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{1'000}}) {
    events::v1::RoomRecord record;
    record.mutable_origin()->set_topic(events::v1::TOPIC_ROOMS);
    record.mutable_origin()->set_shard(1);
    record.mutable_origin()->set_epoch(process.shard(1).epoch);
    record.mutable_verdict()->set_room(room_);
    record.mutable_verdict()->set_offset(offset);
    record.mutable_verdict()->set_condition("forbidden");
    Records(1).push_back({record.SerializeAsString(), time_.UnixMillisNow()});
  }
  Elapse(seconds(1));
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));
  EXPECT_EQ(process.slot(room_), nullptr);
}

}  // namespace
}  // namespace rookery::muc::testing
