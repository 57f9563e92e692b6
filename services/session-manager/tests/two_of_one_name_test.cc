// A gateway comes late with a session whose resource has a newer one by then (SL2, W11).
#include "late_attach.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(LateAttachTest, ItsResourceHasANewerSession_ContactsKeepWhatThatOneHasSaid) {
  const std::string carol_ = UserIn(0, 3);
  roster_.Befriend(bob_, carol_);
  Client& carol = SignIn(gateway_, carol_, "c");
  MoveWithoutIt();
  Client& again = SignIn(gateway_, bob_, "b");
  Settle();
  carol.inbox.clear();
  late_.Send(*bob, Presence());
  late_.Send(*bob, Message(carol_, "m1"));
  ItComes();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_FALSE(again.ended);
  EXPECT_THAT(carol.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Only(carol.inbox, common::v1::STANZA_KIND_PRESENCE, ""), IsEmpty());
  EXPECT_THAT(Only(carol.inbox, common::v1::STANZA_KIND_PRESENCE, "unavailable"), IsEmpty());
}

TEST_F(LateAttachTest, SL2_AnOwnerInBetweenHasParkedANewerSessionOfItsResource_ItIsOver) {
  const std::string carol_ = UserIn(0, 3);
  roster_.Befriend(bob_, carol_);
  Client& carol = SignIn(gateway_, carol_, "c");
  MoveWithoutIt();
  Client& again = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(again);
  gateway_.End(again, END_REASON_CONNECTION_LOST);
  Elapse(std::chrono::seconds(2));
  ASSERT_TRUE(again.parked);
  carol.inbox.clear();
  MoveOn();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_EQ(Told(carol, bob->jid, ""), 0) << "it is the newer one that contacts see";
  EXPECT_EQ(Told(carol, bob->jid, "unavailable"), 0);
  Say("m1", again.jid);
  Client& resumed = gateway_.Resume(again, 0);
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
}

/// Node 2 has not seen bob's session, and begins another one of its name; node 3 has not seen that one, but
/// bob's, whose client is gone; node 0 sees both.
class TwoOfOneNameTest : public LateAttachTest {
 protected:
  TwoOfOneNameTest() {
    MoveWithoutIt();
    node(2).shard_log.member = false;
    again_ = &SignIn(gateway_, bob_, "b");
    gateway_.EnableStreamManagement(*again_);
  }
  /// To node 3, which reads once more what node 2 has.
  void MoveToTheOther() {
    late_.End(*bob, END_REASON_CONNECTION_LOST);
    Node& third = AddNode();
    gateway_.Unlink(third);
    std::erase(third.membership.gateways, "gw-1");
    Kill(2);
    Assign(1, third.number);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(settings_.window_time + std::chrono::seconds(2));
    ASSERT_TRUE(bob->parked);
  }
  void MoveOn() {
    Assign(1, 0);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(2));
    EXPECT_FALSE(again_->ended);
    EXPECT_EQ(database_.Waiting(bob_), 0u);
    EXPECT_TRUE(database_.packets.empty());
  }
  Client* again_ = nullptr;
};

TEST_F(TwoOfOneNameTest, W11_TheNewerOneWasGivenIt_ItIsNotGivenItOnceMore) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  EXPECT_THAT(again_->MessageIds(), ElementsAre("m1", "m2"));
  MoveToTheOther();
  Kill(3);
  MoveOn();
  EXPECT_THAT(again_->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(TwoOfOneNameTest, W11_TheNewerOneIsGivenWhatTheOlderOneLeaves_AndThenWhatCameLater) {
  MoveToTheOther();
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  Elapse(settings_.window_time + std::chrono::seconds(2));
  Kill(3);
  Say("m3", bob_);
  Say("m4", bob_ + "/b");
  MoveOn();
  EXPECT_THAT(again_->MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, W11_TheOlderOneHasTakenAllBeforeItsEnd_WhatHasWaitedForItComesFirst) {
  bob->acks = false;
  Say("m0", bob_ + "/b");
  MoveWithoutIt();
  Client& again = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(again);
  Settle();
  again.inbox.clear();
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_session_ended() ? absl::InternalError("refused") : absl::OkStatus();
  };
  late_.Link(node(2));
  Settle();
  Say("m1", bob_);
  ASSERT_THAT(again.MessageIds(), IsEmpty()) << "behind what the older one leaves";
  late_.Deliver(*bob, bob->last_seq);
  Say("m2", bob_);
  log_.refuse = {};
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2"));
}

}  // namespace
}  // namespace rookery::session_manager
