#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ResumptionTest : public Cluster {
 protected:
  ResumptionTest() : Cluster(1), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(gateway_, bob_, "b");
    gateway_.EnableStreamManagement(*bob);
    bob->acks = false;
  }
  std::uint32_t HandledBy(const Client& client) {
    return static_cast<std::uint32_t>(client.last_seq - client.base_seq);
  }
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
  Client* bob = nullptr;
};

TEST_F(ResumptionTest, SL3_LostConnection_ParkedAndTheGatewayIsTold) {
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_TRUE(bob->parked);
  ASSERT_EQ(database_.parked.size(), 1u);
  const auto& attach = database_.parked.begin()->second.session.attach;
  EXPECT_EQ(attach.full_jid(), bob_ + "/b");
  EXPECT_EQ(attach.last_seq(), bob->last_seq);
  EXPECT_EQ(attach.unacked_size(), 1);
  EXPECT_FALSE(bob->ended);
}

TEST_F(ResumptionTest, SL4_StoreAway_NotParkedUntilItIsBack) {
  database_.down = true;
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_FALSE(bob->parked);
  database_.down = false;
  EXPECT_TRUE(RunUntil([&] { return bob->parked; }));
}

TEST_F(ResumptionTest, SL4_ParkedOnlyWhenWhatItSentIsInTheLog) {
  log_.held = true;
  gateway_.Send(*bob, Message(alice_, "m1"));
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_FALSE(bob->parked);
  log_.held = false;
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_TRUE(bob->parked);
  EXPECT_EQ(database_.parked.begin()->second.session.attach.confirmed_count(), 2u);
}

TEST_F(ResumptionTest, SL5_OnAnotherGateway_ReplaysAfterH) {
  for (int i = 1; i <= 4; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  gateway_.Send(*alice, Message(bob_, "m5"));
  Settle();
  Client& resumed = other_.Resume(*bob, HandledBy(*bob) - 2);  // the client has not seen m3 and m4
  resumed.inbox.clear();
  Settle();
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.jid, bob_ + "/b");
  EXPECT_EQ(resumed.resume_answers[0].inbound_count(), 1u);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m3", "m4", "m5"));
  EXPECT_THAT(database_.parked, IsEmpty());
  // Goes on as before.
  gateway_.Send(*alice, Message(bob_, "m6"));
  other_.Send(resumed, Message(alice_, "back"));
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m3", "m4", "m5", "m6"));
  EXPECT_THAT(alice->MessageIds(), ElementsAre("back"));
  EXPECT_EQ(resumed.confirmed, 2u);
}

TEST_F(ResumptionTest, NothingOfTheStateIsLost) {
  gateway_.Send(*bob, Iq("set", {}, "c", "enable", "urn:xmpp:carbons:2"));
  gateway_.Send(*bob, Iq("get", {}, "r", "query", "jabber:iq:roster"));
  gateway_.Send(*bob, Presence({}, alice_ + "/a"));
  Settle();
  gateway_.Deliver(*bob, bob->last_seq);
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = other_.Resume(*bob, HandledBy(*bob));
  Settle();
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(resumed.resume_answers[0].state()));
  EXPECT_TRUE(state.available());
  EXPECT_TRUE(state.carbons());
  EXPECT_TRUE(state.interested());
  EXPECT_THAT(state.directed(), ElementsAre(alice_ + "/a"));
}

TEST_F(ResumptionTest, SL4_WhatChangesWhileTheRowIsWritten_IsInTheRow) {
  gateway_.Send(*bob, Presence({}, alice_ + "/a"));
  Client& desk = SignIn(gateway_, bob_, "desk");
  Settle();
  gateway_.Deliver(*bob, bob->last_seq);
  database_.held = true;
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_FALSE(bob->parked);
  gateway_.Send(desk, Block(alice_));
  Settle();
  database_.held = false;
  ASSERT_TRUE(RunUntil([&] { return bob->parked; }));
  ASSERT_EQ(database_.parked.size(), 1u);
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(database_.parked.begin()->second.session.attach.state()));
  EXPECT_THAT(state.directed(), IsEmpty());
}

TEST_F(ResumptionTest, SoonerThanItsGatewayHasSaidThatItMay) {
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& resumed = other_.Resume(phone, 0);
  Settle();
  EXPECT_FALSE(resumed.started);
  EXPECT_TRUE(resumed.resume_answers.empty());
  gateway_.EnableStreamManagement(phone);
  EXPECT_TRUE(RunUntil([&] { return resumed.started; }));
}

TEST_F(ResumptionTest, TheOldConnectionIsStillOpen_Conflict) {
  Client& resumed = other_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_TRUE(resumed.started);
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_FALSE(resumed.ended);
}

TEST_F(ResumptionTest, OnTheSameGateway) {
  Client& resumed = gateway_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_TRUE(resumed.started);
  EXPECT_TRUE(bob->ended);
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
}

TEST_F(ResumptionTest, SL5_AnAttemptThatComesAgainOverTheLinkOfItsAnswer_IsNotAnsweredTwice) {
  Client& resumed = other_.Resume(*bob, HandledBy(*bob));
  session::v1::GatewayAction again;
  again.set_session_id(bob->id);
  again.mutable_resume()->set_user(bob_);
  again.mutable_resume()->set_handled(HandledBy(*bob));
  again.mutable_resume()->set_attempt(resumed.attempt);
  other_.Post(bob_, again);
  Settle();
  EXPECT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_FALSE(resumed.ended);
}

TEST_F(ResumptionTest, SL6_AttachedBeforeItsGatewayHeardOfTheResumptionThere_TheNewConnectionLives) {
  session::v1::GatewayAction old;
  old.set_session_id(bob->id);
  auto& attach = *old.mutable_attach();
  attach.set_full_jid(bob->jid);
  attach.set_last_seq(bob->last_seq);
  attach.set_acked_seq(bob->acked_seq);
  attach.set_base_seq(bob->base_seq);
  attach.set_stream_management(true);
  attach.set_resume(true);
  attach.set_state(bob->state);
  Client& resumed = gateway_.Resume(*bob, HandledBy(*bob));
  gateway_.Post(bob_, old);
  Settle();
  ASSERT_TRUE(resumed.started);
  EXPECT_FALSE(resumed.ended);
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
}

TEST_F(ResumptionTest, SL5_LeavesAGatewayThatHasNotHeardOfIt_NoneKeepsIt) {
  Gateway& third = AddGateway("gw-3");
  Settle();
  node(0).frozen = true;
  Client& unheard = other_.Resume(*bob, HandledBy(*bob));
  Client& resumed = third.Resume(*bob, HandledBy(*bob));
  node(0).frozen = false;
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_TRUE(resumed.started);
  EXPECT_FALSE(resumed.ended);
  for (const Client* left : {bob, &unheard}) {
    ASSERT_TRUE(left->ended);
    EXPECT_EQ(left->ended->condition(), "conflict");
  }
}

TEST_F(ResumptionTest, TooHighH_Told_AndTheSessionLives) {
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  Client& absurd = other_.Resume(*bob, HandledBy(*bob) + 1);
  Settle();
  ASSERT_EQ(absurd.resume_answers.size(), 1u);
  EXPECT_TRUE(absurd.resume_answers[0].handled_too_high());
  EXPECT_EQ(absurd.resume_answers[0].sent_count(), 1u);
  EXPECT_FALSE(bob->ended);
  Client& resumed = other_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_TRUE(resumed.started);
}

TEST_F(ResumptionTest, LowerHThanAcknowledged_IsAbsurdToo) {
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  gateway_.Deliver(*bob, bob->last_seq);
  Client& absurd = other_.Resume(*bob, HandledBy(*bob) - 1);
  Settle();
  ASSERT_EQ(absurd.resume_answers.size(), 1u);
  EXPECT_TRUE(absurd.resume_answers[0].handled_too_high());
}

TEST_F(ResumptionTest, AForeignUsersSession_ItemNotFound) {
  Client& thief = other_.Resume(*bob, 0, UserIn(1, 1));
  Client& across = other_.Resume(*bob, 0, alice_);
  Settle();
  for (Client* client : {&thief, &across}) {
    EXPECT_FALSE(client->started);
    ASSERT_EQ(client->resume_answers.size(), 1u);
    EXPECT_EQ(client->resume_answers[0].failure().condition(), "item-not-found");
    EXPECT_FALSE(client->resume_answers[0].has_ended_count());
    EXPECT_EQ(client->resume_answers[0].inbound_count(), 0u);
  }
  EXPECT_FALSE(bob->ended);
}

TEST_F(ResumptionTest, NotResumable_ItemNotFound) {
  Client& plain = SignIn(gateway_, bob_, "plain");
  Client& resumed = other_.Resume(plain, 0);
  Settle();
  EXPECT_TRUE(resumed.resume_answers.empty()) << "its gateway may be about to say that it may";
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers.at(0).failure().condition(), "item-not-found");
  EXPECT_FALSE(plain.ended);
}

TEST_F(ResumptionTest, Ended_TellsHowMuchArrived) {
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  gateway_.End(*bob, END_REASON_CLOSED);
  Settle();
  Client& resumed = other_.Resume(*bob, 0);
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_TRUE(resumed.resume_answers[0].has_ended_count());
  EXPECT_EQ(resumed.resume_answers[0].ended_inbound_count(), 2u);
  EXPECT_THAT(database_.parked, IsEmpty());
}

TEST_F(ResumptionTest, SL5_WhileAppendsAreInFlight_HSaysOnlyWhatIsInTheLog) {
  log_.held = true;
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  Client& resumed = other_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_FALSE(resumed.started);
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return resumed.started; }));
  EXPECT_EQ(resumed.resume_answers[0].inbound_count(), 2u);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
}

TEST_F(ResumptionTest, SL5_TwoAttempts_OneSessionAlive) {
  log_.held = true;
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  Client& first = other_.Resume(*bob, HandledBy(*bob));
  Client& second = gateway_.Resume(*bob, HandledBy(*bob));
  Settle();
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return first.started || second.started; }));
  Settle();
  EXPECT_EQ(node(0).domain.table().size(), 2u);
  EXPECT_NE(first.started && !first.ended, second.started && !second.ended);
}

TEST_F(ResumptionTest, SL4_ResumedWhileItIsBeingParked_NoRowStays) {
  Client* resumed = nullptr;
  database_.on_call = [&](std::string_view call) {
    if (call != "Park" || resumed != nullptr) return;
    resumed = &other_.Resume(*bob, HandledBy(*bob));
  };
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_NE(resumed, nullptr);
  EXPECT_TRUE(resumed->started);
  EXPECT_THAT(database_.parked, IsEmpty());
}

TEST_F(ResumptionTest, SL4_EndedWhileItIsBeingParked_NoRowStays) {
  bool was_being_parked = false;
  database_.on_call = [&](std::string_view call) {
    if (call != "Park") return;
    was_being_parked = true;
    database_.on_call = {};
    gateway_.Start(bob_, "b");  // takes the resource
  };
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_TRUE(was_being_parked);
  EXPECT_THAT(database_.parked, IsEmpty());
}

TEST_F(ResumptionTest, TimeOut_UnackedGoToTheStore) {
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  gateway_.Send(*alice, Message(bob_, "m2"));
  Settle();
  Elapse(settings_.resume_timeout + std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_THAT(database_.packets, IsEmpty());
}

TEST_F(ResumptionTest, SL3_GatewayDies_SessionsWaitAndResumeElsewhere) {
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  gateway_.Unlink(node(0));
  Settle();
  Elapse(std::chrono::seconds(2));
  Client& resumed = other_.Resume(*bob, HandledBy(*bob) - 1);
  resumed.inbox.clear();
  Settle();
  EXPECT_TRUE(resumed.started);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
  // alice had no stream management: her session ends after the grace.
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  EXPECT_EQ(node(0).domain.table().size(), 1u);
}

TEST_F(ResumptionTest, SL3_LinkBreaksAndComesBack_NothingIsLostOrTwice) {
  gateway_.Unlink(node(0));
  Client& carol = SignIn(other_, UserIn(2), "c");
  other_.Send(carol, Message(bob_, "m1"));
  Settle();
  gateway_.Link(node(0));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  gateway_.Send(*alice, Message(bob_, "m2"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(alice->confirmed, 2u);
  Elapse(settings_.resume_timeout + std::chrono::seconds(5));
  EXPECT_FALSE(bob->ended);
  EXPECT_FALSE(alice->ended);
}

TEST_F(ResumptionTest, NewLinkBeforeTheOldOneIsGone_SessionsLive) {
  gateway_.Relink(node(0));
  Settle();
  EXPECT_FALSE(bob->ended);
  EXPECT_FALSE(alice->ended);
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  Elapse(settings_.link_grace + std::chrono::seconds(2));
  EXPECT_FALSE(alice->ended);
}

TEST_F(ResumptionTest, StoredPacketsOfASilentClientAreReplayed) {
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 1u);
  gateway_.End(*bob, END_REASON_CONNECTION_LOST);
  gateway_.Send(*alice, Message(bob_, "m2"));
  Settle();
  Client& resumed = other_.Resume(*bob, HandledBy(*bob) - 1);
  resumed.inbox.clear();
  resumed.acks = true;
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Packets(bob_, bob->id), 0u);
}

}  // namespace
}  // namespace rookery::session_manager
