// Work that is too much for one record goes on with records of the room's own, whoever owns it by then: R1,
// R4, R5.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "muc_cluster.h"

namespace rookery::muc::testing {
namespace {

using std::chrono::seconds;

class RoomPrompts : public ::testing::Test, protected MucCluster {
 protected:
  static constexpr int kCrowd = 400;

  MucProcess& StartLive() {
    MucProcess& process = Start();
    Assign(process, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
    return process;
  }
  static std::string Guest(int i) { return "guest" + std::to_string(i) + "@example.org/home"; }
  /// The room is full, and nobody has anything to hear any more.
  void Fill() {
    Enter(crone_, room_, "firstwitch");
    Elapse(seconds(1));
    for (int i = 0; i < kCrowd; ++i) Enter(Guest(i), room_, "guest" + std::to_string(1000 + i));
    Elapse(seconds(3));
    TakeHeard(Guest(7));
  }
  std::int64_t HideAll() {
    return Say("<iq type='set' id='1' from='" + crone_ + "' to='" + room_ +
               "'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' "
               "type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value>"
               "</field><field var='muc#roomconfig_presencebroadcast'><value>moderator</value></field></x>"
               "</query></iq>");
  }
  /// How often somebody has heard that others go.
  int GoneFor(const std::string& who) {
    int gone = 0;
    for (const std::string& one : TakeHeard(who))
      if (one.find("unavailable") != std::string::npos) ++gone;
    return gone;
  }
  int Prompts() {
    int prompts = 0;
    for (const FakeBroker::Record& kept : Records(1)) {
      events::v1::RoomRecord record;
      EXPECT_TRUE(record.ParseFromString(kept.value));
      if (record.has_prompt()) ++prompts;
    }
    return prompts;
  }
  void HoldPrompts() {
    broker_.holds = [](const FakeBroker::Pending& pending) { return pending.topic == events::Topic::kRooms; };
  }
  void ExpectDone(MucProcess& process) {
    EXPECT_EQ(GoneFor(Guest(7)), kCrowd - 1);
    EXPECT_GT(Prompts(), 2);
    EXPECT_EQ(process.shard(1).window.size(), 0u);
    EXPECT_EQ(database_.rooms[room_].state.unfinished_size(), 0);
  }

  const std::string room_ = RoomIn(1);
  const std::string crone_ = "crone1@example.org/desktop";
};

TEST_F(RoomPrompts, R9_ARoomGoesOnUntilAllHaveHeardOfAll) {
  MucProcess& process = StartLive();
  Fill();
  HideAll();
  Elapse(seconds(5));
  ExpectDone(process);
}

TEST_F(RoomPrompts, R9_TheOwnerDiesBeforeTheRoomIsPrompted_TheNextOneDoes) {
  MucProcess& one = StartLive();
  Fill();
  HoldPrompts();
  const std::int64_t cause = HideAll();
  Elapse(seconds(5));
  ASSERT_GT(database_.rooms[room_].state.unfinished_size(), 0) << "it is in a checkpoint";
  EXPECT_LE(committed(1), cause) << "and is read again";
  Kill(one);
  broker_.holds = nullptr;
  MucProcess& two = StartLive();
  Elapse(seconds(5));
  ExpectDone(two);
}

TEST_F(RoomPrompts, R9_TheOwnerDiesInBetween_EverybodyHearsEverythingOnce) {
  MucProcess& one = StartLive();
  Fill();
  HideAll();
  on_step_ = [&] {
    if (Prompts() < 2) return;
    on_step_ = nullptr;
    Doom(one, /*lose=*/true, [] {});
  };
  Settle();
  ASSERT_EQ(Prompts(), 2);
  MucProcess& two = StartLive();
  Elapse(seconds(5));
  ExpectDone(two);
}

TEST_F(RoomPrompts, R9_WhatIsSaidMeanwhileIsNotHeldUp_AndOneThatIsReadTwiceCountsOnce) {
  MucProcess& process = StartLive();
  Fill();
  HoldPrompts();
  HideAll();
  Settle();
  Say("<message type='groupchat' from='" + crone_ + "' to='" + room_ + "'><body>hear ye</body></message>");
  Settle();
  bool is_heard = false;
  std::vector<std::string> heard = TakeHeard(Guest(kCrowd - 1));
  for (const std::string& one : heard) is_heard |= one.find("hear ye") != std::string::npos;
  EXPECT_TRUE(is_heard);
  broker_.holds = [this](const FakeBroker::Pending& pending) {
    return pending.topic == events::Topic::kRooms && Prompts() > 0;
  };
  Settle();
  ASSERT_EQ(Prompts(), 1);
  Records(1).push_back(Records(1).back());
  broker_.holds = nullptr;
  Elapse(seconds(5));
  ExpectDone(process);
}

}  // namespace
}  // namespace rookery::muc::testing
