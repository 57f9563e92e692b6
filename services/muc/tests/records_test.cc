// How the records of rooms are applied and finished: R1, R3, R8.
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
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class RoomRecords : public ::testing::Test, protected MucCluster {
 protected:
  MucProcess& StartLive(std::uint32_t shard = 1) {
    MucProcess& process = Start();
    Assign(process, shard);
    EXPECT_TRUE(RunUntil([&] { return IsLive(process, shard); }));
    return process;
  }
  std::int64_t Message(const std::string& who, const std::string& to, const std::string& type = "groupchat") {
    return Say("<message type='" + type + "' from='" + who + "' to='" + to + "'><body>x</body></message>");
  }
  void EnterBoth() {
    Enter(crone_, room_, "firstwitch");
    Enter(hag_, room_, "thirdwitch");
    Elapse(seconds(2));
    TakeHeard(crone_);
    TakeHeard(hag_);
  }
  /// The log takes nothing for users that has these bytes, until broker_.refuse is another one.
  void RefuseWhatSays(std::string bytes) {
    broker_.refuse = [bytes = std::move(bytes)](const FakeBroker::Pending& pending) {
      return pending.topic == events::Topic::kUsers && pending.value.find(bytes) != std::string::npos
                 ? absl::PermissionDeniedError("not yet")
                 : absl::OkStatus();
    };
  }

  const std::string room_ = RoomIn(1);
  const std::string crone_ = "crone1@example.org/desktop";
  const std::string hag_ = "hag66@example.org/pda";
  const std::string wicca_ = "wiccarocks@example.org/laptop";
};

auto IsWait() { return HasSubstr("type=\"wait\""); }

TEST_F(RoomRecords, R1_EachIsAppliedOnce_InTheOrderOfTheLog) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  for (int i = 0; i < 20; ++i) {
    Show(crone_, room_ + "/firstwitch", "mood " + std::to_string(i));
    SayAgain();
  }
  Elapse(seconds(2));
  const auto heard = TakeHeard(crone_);
  ASSERT_THAT(heard, SizeIs(21));
  for (int i = 0; i < 20; ++i)
    EXPECT_THAT(heard[static_cast<std::size_t>(i) + 1], HasSubstr("mood " + std::to_string(i) + "<"));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 21);
  EXPECT_EQ(process.owner.metrics().duplicates_refused.Value(), 20);
  EXPECT_EQ(committed(1), static_cast<std::int64_t>(Records(1).size()));
}

TEST_F(RoomRecords, R1_WhatFollowsNamesItsRecord) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Enter(hag_, room_, "thirdwitch");
  const std::int64_t offset = Enter(wicca_, room_, "secondwitch");
  Elapse(seconds(1));
  const auto said = SaidOf(1, offset);
  ASSERT_GE(said.size(), 3u);
  std::map<std::uint32_t, std::uint32_t> newest;
  for (const events::v1::UserRecord& record : said) {
    EXPECT_EQ(record.origin().topic(), events::v1::TOPIC_ROOMS);
    EXPECT_EQ(record.origin().epoch(), process.shard(1).epoch);
    EXPECT_GT(record.received_at_ms(), 0);
    const std::string& to =
        record.has_delivery() ? record.delivery().stanza().to() : record.fanout().recipients(0);
    std::uint32_t& part = newest[broker_.topology().PartitionOf(events::Topic::kUsers, xmpp::BareOf(to))];
    EXPECT_GT(record.origin().log().part(), part) << "no two parts of a partition are the same";
    part = record.origin().log().part();
  }
}

// Its server would say so in a record of its own.
TEST_F(RoomRecords, R1_WhoseClientReturnsAMessageIsThere) {
  StartLive();
  EnterBoth();
  Say("<message type='error' id='p1' from='" + hag_ + "' to='" + room_ +
      "/firstwitch'><error type='cancel'><service-unavailable "
      "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>");
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_),
              ElementsAre(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("<service-unavailable "))));
  events::v1::RoomRecord of_server;
  of_server.ParseFromString(Records(1).back().value);
  of_server.mutable_origin()->set_shard(3);
  of_server.mutable_origin()->mutable_log()->set_offset(1);
  Records(1).push_back({of_server.SerializeAsString(), time_.UnixMillisNow()});
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("<status code=\"333\"/>")));
}

TEST_F(RoomRecords, R1_OnesOfOtherShardsAndOfNoUse_ArePassed) {
  MucProcess& process = StartLive(2);
  Enter(crone_, room_, "firstwitch");
  Records(2).push_back(Records(1).back());
  Records(2).push_back({events::v1::RoomRecord().SerializeAsString(), 0});
  Elapse(seconds(1));
  EXPECT_EQ(process.owner.metrics().misplaced.Value(), 2);
  EXPECT_EQ(process.shard(2).window.size(), 0u);
  EXPECT_EQ(process.slot(room_), nullptr);
}

TEST_F(RoomRecords, R1_TheServiceItselfIsAsked_TheRecordIsFinishedWhenTheAnswerIsInTheLog) {
  const std::string service = "conference.example.org";
  MucProcess& process = StartLive(ShardOf(service));
  const sharding::Shard& shard = process.shard(ShardOf(service));
  broker_.holds = [](const auto& pending) { return pending.topic == events::Topic::kUsers; };
  Say("<iq type='get' id='a' from='" + crone_ + "' to='" + service +
      "'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
  Message(crone_, service, "chat");
  Elapse(seconds(1));
  EXPECT_EQ(shard.window.size(), 2u);
  broker_.holds = nullptr;
  // Nobody is answered for these.
  Say("<iq type='result' id='b' from='" + crone_ + "' to='" + service + "'/>");
  Say("<presence from='" + crone_ + "' to='" + service + "'/>");
  Message(crone_, service, "error");
  Elapse(seconds(1));
  EXPECT_EQ(shard.window.size(), 0u);
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(AllOf(HasSubstr("<iq"), HasSubstr("result")),
                                             AllOf(HasSubstr("<message"), HasSubstr("service-unavailable"))));
}

TEST_F(RoomRecords, R1_WhatTheLogRefuses_IsSaidAgainUntilItTakesIt) {
  MucProcess& process = StartLive();
  int refused = 0;
  std::string key;
  broker_.refuse = [&](const FakeBroker::Pending& pending) {
    if (pending.topic != events::Topic::kUsers || refused >= 6) return absl::OkStatus();
    if (refused++ == 0) key = pending.key;
    return absl::NotFoundError("no such topic");
  };
  Enter(crone_, room_, "firstwitch");
  Elapse(milliseconds(150));
  ASSERT_GT(refused, 0);
  EXPECT_EQ(database_.calls["Save"], 0) << "R4";
  EXPECT_GT(process.shard(1).window.size(), 0u);
  Elapse(seconds(5));
  EXPECT_THAT(TakeHeard(crone_), SizeIs(1));
  EXPECT_EQ(process.shard(1).window.size(), 0u);
  EXPECT_TRUE(database_.rooms.contains(room_));
  EXPECT_FALSE(key.empty());
  for (std::uint32_t partition = 0; partition < kShards; ++partition)
    for (const auto& record : broker_.records(events::Topic::kUsers, partition)) EXPECT_EQ(record.key, key);
}

TEST_F(RoomRecords, R1_ARefusedPresence_IsNotSaidAgainBehindANewerOne) {
  MucProcess& process = StartLive();
  EnterBoth();
  RefuseWhatSays(">old<");
  Show(crone_, room_ + "/firstwitch", "old");
  Elapse(milliseconds(50));
  EXPECT_FALSE(process.shard(1).refused_presences.empty());
  Show(crone_, room_ + "/firstwitch", "new");
  Elapse(milliseconds(50));
  broker_.refuse = nullptr;
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr(">new<")));
  EXPECT_THAT(TakeHeard(hag_), ElementsAre(HasSubstr(">new<")));
  EXPECT_EQ(process.shard(1).window.size(), 0u);
  EXPECT_TRUE(process.shard(1).refused_presences.empty());
}

TEST_F(RoomRecords, R1_ARefusedPresence_IsSaidAgainToWhomNothingNewerWasSaid) {
  MucProcess& process = StartLive();
  EnterBoth();
  RefuseWhatSays(">old<");
  Show(crone_, room_ + "/firstwitch", "old");
  Elapse(milliseconds(50));
  // Is told of firstwitch, too; the others are not.
  broker_.refuse = nullptr;
  Enter(wicca_, room_, "secondwitch");
  Elapse(milliseconds(50));
  // This is news of another occupant.
  Show(hag_, room_ + "/thirdwitch", "other");
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr(">old<")));
  EXPECT_THAT(TakeHeard(hag_), Contains(HasSubstr(">old<")));
  EXPECT_TRUE(process.shard(1).refused_presences.empty());
}

// Another device of the occupant's own account is not told what the others are.
TEST_F(RoomRecords, R1_ARefusedPresence_IsSaidAgainToWhomTheNewerOneLeftOut) {
  MucProcess& process = StartLive();
  const std::string phone = "crone1@example.org/phone";
  // A neighbour of the same partition, and no moderator either: the two are in one list and in one record.
  int n = 0;
  const auto neighbour = [&] { return "hag" + std::to_string(n) + "@example.org"; };
  while (ShardOf(neighbour()) != ShardOf("crone1@example.org")) ++n;
  Enter(wicca_, room_, "secondwitch");
  Enter(crone_, room_, "firstwitch");
  Enter(phone, room_, "firstwitch");
  Enter(neighbour() + "/pda", room_, "thirdwitch");
  Elapse(seconds(2));
  TakeHeard(phone);
  RefuseWhatSays(phone);
  Show(phone, room_ + "/firstwitch", "here");
  Elapse(milliseconds(50));
  ASSERT_FALSE(process.shard(1).refused_presences.empty());
  Leave(crone_, room_);
  Elapse(milliseconds(50));
  broker_.refuse = nullptr;
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(phone), Contains(HasSubstr(">here<")));
}

TEST_F(RoomRecords, R1_WhatTheLogWillNeverTake_IsCountedAndPassed) {
  MucProcess& process = StartLive();
  broker_.refuse = [&](const FakeBroker::Pending& pending) {
    return pending.topic == events::Topic::kUsers ? absl::InvalidArgumentError("too large")
                                                  : absl::OkStatus();
  };
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  EXPECT_GT(process.owner.metrics().records_lost.Value(), 0);
  EXPECT_EQ(process.shard(1).window.size(), 0u);
  EXPECT_TRUE(database_.rooms.contains(room_));
}

TEST_F(RoomRecords, R1_MuchThatHasWaited_IsAppliedInTurns_AsFastAsTheLogTakesIt) {
  MucProcess& process = StartLive();
  database_.HoldAnswers();
  constexpr int kCount = 1'000;
  for (int i = 0; i < kCount; ++i) Show(crone_, room_ + "/nick", std::to_string(i));
  Elapse(milliseconds(100));
  process.log.congested = true;
  database_.ReleaseAnswers();
  Elapse(seconds(1));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 0);
  process.log.congested = false;
  time_.JumpTo(time_.Now() + milliseconds(20));
  double most = 0;
  for (double before = 0; io_.poll_one() > 0; before = process.muc_metrics.stanzas.Value())
    most = std::max(most, process.muc_metrics.stanzas.Value() - before);
  EXPECT_GT(most, 0);
  EXPECT_LT(most, kCount / 2);
  Elapse(seconds(3));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), kCount);
  const auto heard = TakeHeard(crone_);
  ASSERT_THAT(heard, SizeIs(kCount));
  for (int i = 0; i < kCount; ++i)
    EXPECT_THAT(heard[static_cast<std::size_t>(i)], HasSubstr(">" + std::to_string(i) + "<"));
}

TEST_F(RoomRecords, R1_WhatFollowsFromOneRecordMayBeMuch_TheNextWaitsForTheLog) {
  MucProcess& process = StartLive();
  database_.HoldAnswers();
  constexpr int kCount = 100;
  for (int i = 0; i < kCount; ++i) Show(crone_, room_ + "/nick", std::to_string(i));
  Elapse(milliseconds(100));
  broker_.on_append = [&](events::Topic) { process.log.congested = true; };
  database_.ReleaseAnswers();
  Elapse(seconds(1));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 1);
  broker_.on_append = nullptr;
  process.log.congested = false;
  Elapse(seconds(3));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), kCount);
}

// ---- loading --------------------------------------------------------------------

TEST_F(RoomRecords, R3_WhatWaitsForOneRoomHoldsBackNothingOfOthers) {
  StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  database_.HoldAnswers();
  const std::string other = RoomIn(1, 1);
  Enter(hag_, other, "thirdwitch");
  Show(crone_, room_ + "/firstwitch", "here");
  Elapse(milliseconds(500));
  EXPECT_THAT(TakeHeard(hag_), IsEmpty());
  EXPECT_THAT(TakeHeard(crone_), Contains(HasSubstr("here")));
  database_.ReleaseAnswers();
  Elapse(milliseconds(100));
  EXPECT_THAT(TakeHeard(hag_), SizeIs(1));
}

TEST_F(RoomRecords, R3_WhatIsWantedAtATimeIsLoadedTogether) {
  StartLive();
  database_.on_call = [](std::string_view call) -> Task<void> {
    if (call == "Load") co_await runtime::Sleep(milliseconds(10));
  };
  for (int i = 0; i < 250; ++i) Enter(crone_, RoomIn(1, i), "firstwitch");
  Elapse(milliseconds(100));
  EXPECT_LE(database_.calls["Load"], 4);
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), SizeIs(250));
}

TEST_F(RoomRecords, R3_ARoomThatCannotBeRead_HoldsBackNoOther) {
  MucProcess& process = StartLive();
  database_.unreadable.insert(room_);
  EnterByMuc(crone_, room_, "firstwitch");
  for (int i = 1; i <= 150; ++i) Enter(hag_, RoomIn(1, i), "thirdwitch");
  Elapse(seconds(30));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(IsWait()));
  const auto heard = TakeHeard(hag_);
  EXPECT_THAT(heard, SizeIs(150));
  EXPECT_THAT(heard, Contains(Not(HasSubstr("error"))).Times(::testing::Ge(140)));
  // Nobody waits for it any more.
  const int loads = database_.calls["Load"];
  Elapse(minutes(1));
  EXPECT_EQ(database_.calls["Load"], loads);
  EXPECT_EQ(process.slot(room_), nullptr);
}

TEST_F(RoomRecords, R3_TheStoreIsAway_WhoCanBeToldIs_WhatInformsWaits) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Enter(hag_, room_, "thirdwitch");
  Elapse(minutes(2));
  ASSERT_EQ(process.slot(room_), nullptr);
  TakeHeard(crone_), TakeHeard(hag_);
  database_.is_down = true;
  const std::int64_t leaves = Leave(hag_, room_);
  Message(wicca_, room_);
  EnterByMuc(wicca_, room_, "secondwitch");
  Say("<iq type='get' id='a' from='" + wicca_ + "' to='" + room_ + "'><query xmlns='x:y'/></iq>");
  // XEP-0410 section 3.2: this error alone leaves undecided whether one is in.
  Say("<iq type='get' id='c' from='" + wicca_ + "' to='" + room_ +
      "/secondwitch'><ping xmlns='urn:xmpp:ping'/></iq>");
  Message(wicca_, room_, "error");
  Say("<iq type='result' id='b' from='" + wicca_ + "' to='" + room_ + "'/>");
  Elapse(RoomLoader::kPatience - milliseconds(100));
  EXPECT_THAT(TakeHeard(wicca_), IsEmpty());
  Elapse(milliseconds(800));
  EXPECT_THAT(TakeHeard(wicca_),
              ElementsAre(AllOf(HasSubstr("<message"), IsWait()), AllOf(HasSubstr("<presence"), IsWait()),
                          AllOf(HasSubstr("<iq"), HasSubstr("<resource-constraint "), IsWait()),
                          AllOf(HasSubstr("<iq"), HasSubstr("<remote-server-timeout "), IsWait())));
  EXPECT_EQ(process.shard(1).window.cursor(), leaves);
  EXPECT_EQ(process.shard(1).window.size(), 3u);
  Elapse(minutes(1));
  EXPECT_EQ(process.shard(1).window.size(), 3u);
  EXPECT_THAT(TakeHeard(wicca_), IsEmpty()) << "they are told once";
  database_.is_down = false;
  Elapse(seconds(5));
  EXPECT_EQ(process.shard(1).window.size(), 0u);
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("type=\"unavailable\"")));
}

// To most clients an error for their own presence says that they are not in.
TEST_F(RoomRecords, R3_TheStoreIsAway_WhatAnOccupantShowsWaits) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Enter(hag_, room_, "thirdwitch");
  Elapse(minutes(2));
  ASSERT_EQ(process.slot(room_), nullptr);
  TakeHeard(crone_), TakeHeard(hag_);
  database_.is_down = true;
  Show(hag_, room_ + "/thirdwitch", "gone for tea");
  Elapse(minutes(1));
  EXPECT_THAT(TakeHeard(hag_), IsEmpty());
  database_.is_down = false;
  Elapse(seconds(5));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("gone for tea")));
}

// Else one client's presence, to whatever rooms, would have the shard read no further.
TEST_F(RoomRecords, R3_TheStoreIsAway_VeryMuchWaits_WhatIsShownIsRefused) {
  StartLive();
  database_.is_down = true;
  for (std::size_t i = 0; i <= RoomLoader::kMaxWaiting; ++i) Show(hag_, room_ + "/thirdwitch", "tea");
  Elapse(RoomLoader::kPatience + seconds(1));
  EXPECT_THAT(TakeHeard(hag_), SizeIs(RoomLoader::kMaxWaiting + 1));
}

// What rooms in memory have not saved yet waits for nobody.
TEST_F(RoomRecords, R3_TheStoreIsAway_ABusyRoomGoesOn_WhatIsShownElsewhereWaits) {
  settings_.max_stanzas = 0;
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(2));
  database_.is_down = true;
  for (std::size_t i = 0; i <= RoomLoader::kMaxWaiting; ++i)
    Show(crone_, room_ + "/firstwitch", std::to_string(i));
  Show(hag_, RoomIn(1, 1) + "/thirdwitch", "tea");
  Elapse(RoomLoader::kPatience + seconds(1));
  EXPECT_GT(process.shard(1).window.size(), RoomLoader::kMaxWaiting);
  EXPECT_THAT(TakeHeard(hag_), IsEmpty());
}

TEST_F(RoomRecords, R3_TheStoreIsAway_WhoComesLaterDoesNotProlongIt) {
  StartLive();
  database_.is_down = true;
  for (int i = 0; i < 50; ++i) {
    Message(wicca_, room_);
    Elapse(milliseconds(100));
  }
  EXPECT_GE(TakeHeard(wicca_).size(), 40u);
}

TEST_F(RoomRecords, R3_TheStoreSaysNothing_WhoCanBeToldIs) {
  StartLive();
  database_.HoldAnswers();
  Message(wicca_, room_);
  Elapse(RoomLoader::kPatience + milliseconds(800));
  EXPECT_THAT(TakeHeard(wicca_), ElementsAre(IsWait()));
  database_.ReleaseAnswers();
}

// ---- quiet rooms ----------------------------------------------------------------

TEST_F(RoomRecords, R8_TenThousandQuietRoomsCostNothing_AndAreThereWhenSomebodyComes) {
  MucProcess& process = Start();
  for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(process, shard);
  std::string last;
  for (int i = 0; i < 10'000; ++i) {
    last = "quiet" + std::to_string(i) + "@conference.example.org";
    Enter(crone_, last, "firstwitch");
  }
  Elapse(seconds(5));
  EXPECT_EQ(process.muc_metrics.rooms.Value(), 10'000);
  EXPECT_EQ(process.muc_metrics.occupants.Value(), 10'000);
  EXPECT_EQ(database_.rooms.size(), 10'000u);
  Elapse(minutes(2));
  EXPECT_EQ(process.muc_metrics.rooms.Value(), 0);
  EXPECT_EQ(process.muc_metrics.occupants.Value(), 0);
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    EXPECT_EQ(process.shard(shard).rooms.size(), 0u);
    EXPECT_EQ(process.shard(shard).watched.size(), 0u);
    EXPECT_EQ(process.shard(shard).to_save.size(), 0u);
    EXPECT_EQ(committed(shard), static_cast<std::int64_t>(Records(shard).size()));
  }
  const auto calls = database_.calls;
  Elapse(minutes(10));
  EXPECT_EQ(database_.calls, calls);
  TakeHeard(crone_);
  Enter(hag_, last, "thirdwitch");
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr(last + "/thirdwitch")));
}

TEST_F(RoomRecords, R8_WhatIsNotSavedIsNotForgotten) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  database_.is_down = true;
  Show(crone_, room_ + "/firstwitch", "here");
  Elapse(minutes(5));
  ASSERT_NE(process.slot(room_), nullptr);
  database_.is_down = false;
  Elapse(minutes(2));
  EXPECT_EQ(process.slot(room_), nullptr);
  EXPECT_THAT(database_.rooms[room_].occupants["firstwitch"].ShortDebugString(), HasSubstr("here"));
}

TEST_F(RoomRecords, R8_ThereIsTooMuchInMemory_WhatWasUsedLeastRecentlyIsForgotten_AndLoadedWhenItIsWanted) {
  settings_.max_memory_bytes = 100'000;
  MucProcess& process = StartLive();
  constexpr int kRooms = 60;
  for (int i = 0; i < kRooms; ++i) {
    Enter(crone_, RoomIn(1, i), "firstwitch");
    Elapse(milliseconds(200));
    EXPECT_LE(process.shards.memory().bytes(), 120'000u);
  }
  EXPECT_EQ(process.slot(RoomIn(1, 0)), nullptr);
  EXPECT_NE(process.slot(RoomIn(1, kRooms - 1)), nullptr);
  TakeHeard(crone_);
  Enter(hag_, RoomIn(1, 0), "thirdwitch");
  Elapse(seconds(1));
  EXPECT_THAT(TakeHeard(crone_), ElementsAre(HasSubstr("thirdwitch")));
}

TEST_F(RoomRecords, R8_NoRoomIsLoadedWhileThereIsNoMemoryForIt_TheSenderIsTold) {
  settings_.max_memory_bytes = 1;
  MucProcess& process = StartLive();
  // The records that follow from it do not get into the log.
  broker_.holds = [&](const FakeBroker::Pending& pending) {
    return pending.topic == events::Topic::kUsers && pending.value.find(room_) != std::string::npos;
  };
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  const int loads = database_.calls["Load"];
  EnterByMuc(hag_, RoomIn(1, 1), "thirdwitch");
  Elapse(RoomLoader::kPatience + seconds(1));
  EXPECT_THAT(TakeHeard(hag_), ElementsAre(HasSubstr("resource-constraint")));
  EXPECT_EQ(database_.calls["Load"], loads);
  broker_.holds = nullptr;
  Elapse(seconds(5));
  EnterByMuc(hag_, RoomIn(1, 1), "thirdwitch");
  Elapse(seconds(2));
  EXPECT_THAT(TakeHeard(hag_), ElementsAre(HasSubstr("201")));
  EXPECT_EQ(process.shard(1).window.size(), 0u);
}

TEST_F(RoomRecords, R8_ARoomThatBecomesSmallerMakesRoom) {
  MucProcess& process = StartLive();
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  Enter(hag_, room_, "thirdwitch");
  const std::size_t alone = process.shards.memory().bytes();
  Elapse(seconds(1));
  process.settings.max_memory_bytes = static_cast<std::int64_t>(process.shards.memory().bytes());
  ASSERT_GT(process.shards.memory().bytes(), alone);
  // It is not forgotten: what it says does not get into the log.
  broker_.holds = [&](const FakeBroker::Pending& pending) {
    return pending.topic == events::Topic::kUsers && pending.value.find(room_) != std::string::npos;
  };
  Message(crone_, room_);
  Enter(wicca_, RoomIn(1, 1), "secondwitch");
  Elapse(milliseconds(500));
  EXPECT_THAT(TakeHeard(wicca_), IsEmpty());
  Leave(hag_, room_);
  Elapse(milliseconds(500));
  EXPECT_THAT(TakeHeard(wicca_), ElementsAre(HasSubstr("201")));
  broker_.holds = nullptr;
}

TEST_F(RoomRecords, R3_RoomsAreLoadedSoManyBytesAtATime) {
  MucProcess& one = StartLive();
  constexpr int kRooms = 10;
  for (int i = 0; i < kRooms; ++i) Enter(crone_, RoomIn(1, i), "firstwitch");
  Elapse(seconds(1));
  Kill(one);
  for (auto& [name, room] : database_.rooms) room.bytes = RoomLoader::kPageBytes / 2;
  const int loads = database_.calls["Load"];
  for (int i = 0; i < kRooms; ++i) Show(crone_, RoomIn(1, i) + "/firstwitch", "here");
  MucProcess& two = StartLive();
  Elapse(seconds(1));
  EXPECT_EQ(database_.calls["Load"] - loads, kRooms / 2);
  EXPECT_EQ(two.shard(1).window.size(), 0u);
}

TEST_F(RoomRecords, R8_AddressesWithoutARoomAreForgottenSooner) {
  MucProcess& process = StartLive();
  Message(wicca_, room_);
  Elapse(seconds(1));
  ASSERT_NE(process.slot(room_), nullptr);
  Elapse(RoomMemory::kQuietWithoutRoom * 2);
  EXPECT_EQ(process.slot(room_), nullptr);
  EXPECT_THAT(TakeHeard(wicca_), ElementsAre(HasSubstr("item-not-found")));
}

}  // namespace
}  // namespace rookery::muc::testing
