// Presence that a session has missed, and its own, is told anew when its gateway comes late (SL12).
#include "late_attach.h"

namespace rookery::session_manager {
namespace {

using ::testing::IsEmpty;

TEST_F(LateAttachTest, SL12_PresenceThatItHasMissed_IsToldAnew_AndItsOwn) {
  const std::string carol_ = UserIn(0, 3), dave_ = UserIn(0, 5);
  roster_.Befriend(bob_, carol_);
  roster_.Befriend(bob_, dave_);
  Client& carol = SignIn(gateway_, carol_, "c");
  gateway_.Send(*alice, Presence());
  Settle();
  MoveWithoutIt();
  bob->inbox.clear();
  gateway_.Send(carol, Presence("unavailable"));
  Client& dave = SignIn(gateway_, dave_, "d");
  gateway_.Send(dave, Presence());
  Settle();
  ASSERT_THAT(bob->inbox, IsEmpty());
  ItComes();
  EXPECT_EQ(Told(*bob, carol_, "unavailable"), 1);
  EXPECT_EQ(Told(*bob, carol.jid, ""), 0);
  EXPECT_EQ(Told(*bob, dave.jid, ""), 1);
  EXPECT_EQ(Told(dave, bob->jid, ""), 1);
}

class MissedInBetweenTest : public LateAttachTest {
 protected:
  MissedInBetweenTest() {
    roster_.Befriend(bob_, carol_);
    roster_.Befriend(bob_, dave_);
    carol = &SignIn(gateway_, carol_, "c");
    MoveWithoutIt();
    bob->inbox.clear();
    gateway_.Send(*carol, Presence("unavailable"));
    dave = &SignIn(gateway_, dave_, "d");
    Elapse(std::chrono::seconds(2));
    EXPECT_EQ(Told(*bob, carol->jid, "unavailable"), 0);
  }
  void ExpectToldAnew() {
    EXPECT_EQ(Told(*bob, carol_, "unavailable"), 1);
    EXPECT_EQ(Told(*bob, carol->jid, ""), 0);
    EXPECT_EQ(Told(*bob, dave->jid, ""), 1);
    EXPECT_EQ(Told(*dave, bob->jid, ""), 1);
  }
  bool IsMissed() const {
    session::v1::SessionManagerState state;
    return state.ParseFromString(bob->state) && state.presence_missed();
  }
  const std::string carol_ = UserIn(0, 3), dave_ = UserIn(0, 5);
  Client* carol = nullptr;
  Client* dave = nullptr;
};

TEST_F(MissedInBetweenTest, SL12_Presence_IsToldAnew_AndItsOwn) {
  MoveOn();
  ExpectToldAnew();
  EXPECT_FALSE(IsMissed());
}

TEST_F(MissedInBetweenTest, SL12_OnlyTheLogTellsOfThatOwner_PresenceIsToldAnew) {
  directory_.down = true;
  MoveOn();
  ExpectToldAnew();
}

TEST_F(MissedInBetweenTest, SL12_TheOwnerDiesBeforeItIsLive_TheNextOneKnows) {
  Revoke(1, 2);
  database_.down = true;
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return IsMissed(); }));
  ASSERT_FALSE(IsLive(1));
  const std::int64_t known = bob->known_epoch;
  Kill(0);
  database_.down = false;
  late_.Link(node(2));
  Assign(0, 2);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  ASSERT_EQ(node(2).domain.shards().Find(1)->former_epoch, known) << "it was not missed by the last one";
  Elapse(std::chrono::seconds(2));
  ExpectToldAnew();
}

TEST_F(LateAttachTest, SL12_AnOwnerInBetweenHadIt_AndHadNothingToSayOfIt_NothingIsToldAnew) {
  const std::string carol_ = UserIn(0, 3);
  roster_.Befriend(bob_, carol_);
  Client& carol = SignIn(gateway_, carol_, "c");
  node(1).shard_log.member = true;
  Elapse(std::chrono::seconds(2));
  Revoke(1, 1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  carol.inbox.clear();
  bob->inbox.clear();
  MoveOn();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->inbox, IsEmpty());
  EXPECT_THAT(carol.inbox, IsEmpty());
}

TEST_F(LateAttachTest, SL12_WhoLetItSeeNothingMeanwhile_IsForgotten) {
  late_.Send(*bob, Presence("subscribe", alice_));
  Settle();
  gateway_.Send(*alice, Presence("subscribed", bob_));
  Settle();
  ASSERT_EQ(Told(*bob, alice_ + "/a", ""), 1);
  MoveWithoutIt();
  gateway_.Send(*alice, Presence("unsubscribed", bob_));
  Settle();
  bob->inbox.clear();
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_GE(Told(*bob, alice_, "unavailable"), 1);
  EXPECT_EQ(Told(*bob, alice_ + "/a", ""), 0);
}

}  // namespace
}  // namespace rookery::session_manager
