// How a session ends, rule by rule (README.md, "The life of a session"): the decision is a record of
// the user's shard and takes effect where it is read, whoever owns the shard by then.
#include <gmock/gmock.h>

#include <set>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SessionEndTest : public Cluster {
 protected:
  // alice's shard stays with node 0; bob's moves from node 1 to node 2. They see each other.
  SessionEndTest() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    roster_.Befriend(alice_, bob_);
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(other_, bob_, "b");
    Settle();
    alice->inbox.clear();
    bob->inbox.clear();
  }
  void Move(bool lose = true) {
    Kill(1, lose);
    database_.on_call = {};
    database_.down = false;
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  /// `client`'s gateway dies, and nobody brings the session back.
  void KillGatewayOf(Client& client) {
    client.forgotten = true;
    client.gateway->Unlink(node(1));
  }
  /// How often alice has been told that bob's session is gone.
  std::size_t Goodbyes() { return Only(alice->inbox, STANZA_KIND_PRESENCE, "unavailable").size(); }
  std::size_t Hellos() { return Only(alice->inbox, STANZA_KIND_PRESENCE, "").size(); }
  /// Time passes while nothing reaches the log.
  void ElapseHeld(std::chrono::milliseconds time) {
    log_.held = true;
    Elapse(time);
  }
  std::vector<events::v1::UserRecord> Ends() {
    std::vector<events::v1::UserRecord> ends;
    for (auto& record : log_.Records(1))
      if (record.has_session_ended()) ends.push_back(std::move(record));
    return ends;
  }
  std::size_t SessionsAt(int number) { return node(number).domain.table().size(); }
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
  Client* bob = nullptr;
};

// ---- a decision is a record -------------------------------------------------

TEST_F(SessionEndTest, SL7_TakesEffectWhereTheRecordIsRead) {
  KillGatewayOf(*bob);
  ElapseHeld(settings_.link_grace + std::chrono::seconds(1));
  EXPECT_EQ(SessionsAt(1), 1u) << "decided, not yet in the log";
  EXPECT_EQ(Goodbyes(), 0u);
  log_.held = false;
  Settle();
  EXPECT_EQ(SessionsAt(1), 0u);
  EXPECT_EQ(Goodbyes(), 1u);
  ASSERT_EQ(Ends().size(), 1u);
  EXPECT_EQ(Ends()[0].session_ended().full_jid(), bob_ + "/b");
  EXPECT_EQ(Ends()[0].session_ended().condition(), "connection-timeout");
}

TEST_F(SessionEndTest, SL7_ClosedAndLeavesNothing_EndsWithoutARecord) {
  Client& unseen = other_.Start(bob_, "unseen");
  Settle();
  ASSERT_TRUE(unseen.started);
  log_.held = true;
  other_.End(unseen, END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(SessionsAt(1), 1u);
  EXPECT_TRUE(unseen.ended);
  log_.held = false;
  Settle();
  EXPECT_THAT(Ends(), IsEmpty());
  EXPECT_FALSE(bob->ended);
}

TEST_F(SessionEndTest, SL7_ClosedAndLeavesSomething_ItsEndIsARecord) {
  const auto close = [&](Client& client) {
    const std::size_t before = Ends().size();
    other_.End(client, END_REASON_CLOSED);
    Settle();
    return Ends().size() - before;
  };
  Client& directed = other_.Start(bob_, "directed");
  Settle();
  other_.Send(directed, xmpp::MakePresence("", directed.jid, UserIn(0, 1)));
  Settle();
  EXPECT_EQ(close(directed), 1u);

  Client& resumable = other_.Start(bob_, "resumable");
  Settle();
  other_.EnableStreamManagement(resumable);
  Settle();
  EXPECT_EQ(close(resumable), 1u);

  Client& deaf = other_.Start(bob_, "deaf");
  Settle();
  deaf.acks = false;
  gateway_.Send(*alice, Message(deaf.jid, "m1"));
  Settle();
  bob->inbox.clear();
  EXPECT_EQ(close(deaf), 1u);
  ASSERT_TRUE(RunUntil([&] { return !bob->inbox.empty(); })) << "the message reaches another resource";

  EXPECT_EQ(close(*bob), 1u);
}

TEST_F(SessionEndTest, SL7_ClosedAndLeavesNothing_OwnerDiesBeforeTheGatewayHearsOfIt_TheNextOneEndsIt) {
  Client& unseen = other_.Start(bob_, "unseen");
  Settle();
  Kill(1, /*lose=*/true);
  other_.End(unseen, END_REASON_CLOSED);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_TRUE(RunUntil([&] { return unseen.ended.has_value(); }));
  EXPECT_EQ(SessionsAt(2), 1u);
  EXPECT_THAT(Ends(), IsEmpty());
}

TEST_F(SessionEndTest, SL7_ClosedWhileContactsAreStillToHearThatItIsUnavailable_ItsEndIsARecord) {
  Elapse(std::chrono::seconds(1));  // what is read again would load the roster
  Move();
  roster_.down = true;
  other_.Send(*bob, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return bob->confirmed == bob->sent; }));
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(Ends().size(), 1u);
}

TEST_F(SessionEndTest, SL7_OwnerDiesBeforeTheDecisionIsInTheLog_TheNextOneDecides) {
  other_.EnableStreamManagement(*bob);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(bob->parked);
  ElapseHeld(settings_.resume_timeout + std::chrono::seconds(1));
  log_.held = false;
  Move();
  EXPECT_EQ(Goodbyes(), 1u);
  EXPECT_EQ(SessionsAt(2), 0u);
}

TEST_F(SessionEndTest, SL8_OwnerDiesBeforeContactsAreTold_TheyAreToldOnce) {
  KillGatewayOf(*bob);
  ElapseHeld(settings_.link_grace + std::chrono::seconds(1));
  log_.Flush(1);
  Settle();  // the record is applied; what follows from it is on its way
  ASSERT_EQ(Ends().size(), 1u);
  ASSERT_EQ(Goodbyes(), 0u);
  log_.held = false;
  Move(/*lose=*/true);
  EXPECT_EQ(Goodbyes(), 1u) << "alice sees a ghost";
  EXPECT_EQ(SessionsAt(2), 0u);
}

TEST_F(SessionEndTest, SL8_OwnerDiesBeforeContactsAreTold_TheRosterIsAwayAtTheNextOwner) {
  KillGatewayOf(*bob);
  ElapseHeld(settings_.link_grace + std::chrono::seconds(1));
  log_.Flush(1);
  Settle();
  log_.held = false;
  roster_.down = true;
  Move();
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(Goodbyes(), 0u);
  EXPECT_LT(log_.committed[1], static_cast<std::int64_t>(log_.users[1].size()) - 1)
      << "the cursor waits for the contacts";
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return Goodbyes() == 1; }));
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(Goodbyes(), 1u);
  EXPECT_EQ(node(2).domain.shards().Find(1)->window.size(), 0u);
}

TEST_F(SessionEndTest, SL8_OwnerDiesAfterContactsWereTold_TheyAreNotToldAgain) {
  KillGatewayOf(*bob);
  node(1).shard_log.member = false;  // no commit succeeds
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  ASSERT_EQ(Goodbyes(), 1u);
  Move();
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(SessionEndTest, SL8_WhoWasToldOfThePresenceDirectly_HearsToo) {
  const std::string carol_ = UserIn(2);
  Assign(2, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(2); }));
  Client& carol = SignIn(gateway_, carol_, "c");
  other_.Send(*bob, Presence({}, carol_));
  Settle();
  carol.inbox.clear();
  KillGatewayOf(*bob);
  ElapseHeld(settings_.link_grace + std::chrono::seconds(1));
  log_.Flush(1);
  Settle();
  log_.held = false;
  Move();
  EXPECT_EQ(Only(carol.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
}

TEST_F(SessionEndTest, SL8_DecidedTwice_AppliedOnce) {
  // The first owner's record arrives after all, and the second owner has decided the same.
  KillGatewayOf(*bob);
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  ASSERT_EQ(Goodbyes(), 1u);
  events::v1::UserRecord again = Ends()[0];
  log_.users[1].push_back(again.SerializeAsString());
  Settle();
  EXPECT_EQ(Goodbyes(), 1u);
  Move();
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(SessionEndTest, SL7_AnOldOwnersDecision_IsRefused) {
  events::v1::UserRecord record;
  Move();
  record.mutable_origin()->set_shard(1);
  record.mutable_origin()->set_epoch(node(2).domain.shards().Find(1)->epoch - 1);
  record.mutable_session_ended()->set_session_id(bob->id);
  record.mutable_session_ended()->set_full_jid(bob_ + "/b");
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  EXPECT_FALSE(bob->ended);
  EXPECT_EQ(Goodbyes(), 0u);
  record.mutable_origin()->set_epoch(node(2).domain.shards().Find(1)->epoch);
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  EXPECT_TRUE(bob->ended) << "the present owner's is not";
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(SessionEndTest, SL8_NotFinishedBeforeTheStoreHasWhatItLeaves) {
  bob->acks = false;
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  database_.on_call = [&](std::string_view call) { database_.down |= call == "StoreOffline"; };
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_GT(node(1).domain.shards().Find(1)->window.size(), 0u);
  Move();
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(bob_) == 1; }));
  ASSERT_TRUE(RunUntil([&] { return node(2).domain.shards().Find(1)->window.size() == 0; }));
}

// ---- resumed since ----------------------------------------------------------

TEST_F(SessionEndTest, SL9_ResumedBeforeTheRecordIsRead_GoesOn) {
  other_.EnableStreamManagement(*bob);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ElapseHeld(settings_.resume_timeout + std::chrono::seconds(1));
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  EXPECT_TRUE(resumed.started);
  log_.held = false;
  Settle();
  ASSERT_EQ(Ends().size(), 1u);
  EXPECT_FALSE(resumed.ended);
  EXPECT_EQ(Goodbyes(), 0u);
  gateway_.Send(*alice, Message(bob_ + "/b", "m1"));
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
  // The next owner reads the same.
  Move();
  EXPECT_FALSE(resumed.ended);
  EXPECT_EQ(Goodbyes(), 0u);
}

TEST_F(SessionEndTest, SL9_ReplacedSession_IsNotResumed) {
  other_.EnableStreamManagement(*bob);
  log_.held = true;
  Client& fresh = gateway_.Start(bob_, "b");
  Settle();
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  EXPECT_FALSE(fresh.started);
  EXPECT_TRUE(resumed.resume_answers.empty());
  log_.held = false;
  Settle();
  EXPECT_TRUE(fresh.started);
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].failure().condition(), "item-not-found");
  EXPECT_TRUE(resumed.resume_answers[0].has_ended_count());
}

// ---- one session of a name --------------------------------------------------

TEST_F(SessionEndTest, SL2_TheNewSessionBeginsWhenTheOldOneHasEnded) {
  log_.held = true;
  Client& fresh = gateway_.Start(bob_, "b");
  Settle();
  EXPECT_FALSE(fresh.started);
  EXPECT_FALSE(bob->ended);
  log_.held = false;
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_TRUE(fresh.started);
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(SessionEndTest, SL2_OwnerDiesBetweenTheOldSessionAndTheNew_OneOfThemLives) {
  log_.held = true;
  Client& fresh = gateway_.Start(bob_, "b");
  Settle();
  log_.Flush(1);
  Settle();
  log_.held = false;
  Move();
  EXPECT_TRUE(bob->ended);
  EXPECT_EQ(Goodbyes(), 1u);
  EXPECT_LE(SessionsAt(2), 1u);
  EXPECT_FALSE(fresh.ended);
}

// ---- what is over stays over ------------------------------------------------

TEST_F(SessionEndTest, SL10_BroughtBackToTheSameOwner_Reset) {
  // Its gateway was frozen for longer than the grace.
  other_.Unlink(node(1));
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  ASSERT_EQ(Goodbyes(), 1u);
  alice->inbox.clear();
  other_.Link(node(1));
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(SessionsAt(1), 0u);
  EXPECT_EQ(Hellos(), 0u);
}

TEST_F(SessionEndTest, SL10_BroughtBackToALaterOwner_Reset) {
  other_.Unlink(node(1));
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(log_.committed[1], static_cast<std::int64_t>(log_.users[1].size())) << "finished";
  Move();
  EXPECT_TRUE(bob->ended);
  EXPECT_EQ(SessionsAt(2), 0u);
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(SessionEndTest, SL10_BroughtBackToALaterOwnerThatIsLive_Reset) {
  other_.Unlink(node(1));
  other_.Unlink(node(2));
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  Elapse(settings_.link_grace + std::chrono::seconds(3));
  Move();
  ASSERT_FALSE(bob->ended);
  other_.Link(node(2));
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(SessionEndTest, SL10_BroughtBackWhileItsNameIsTakenElsewhere_OnlyTheNewOneLives) {
  other_.Unlink(node(1));
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  Client& again = SignIn(gateway_, bob_, "b");
  alice->inbox.clear();
  other_.Link(node(1));
  Settle();
  EXPECT_TRUE(bob->ended);
  EXPECT_FALSE(again.ended);
  Move();
  EXPECT_FALSE(again.ended);
  EXPECT_EQ(SessionsAt(2), 1u);
  EXPECT_EQ(Goodbyes(), 0u);
}

TEST_F(SessionEndTest, SL2_AnUnknownOlderSessionOfTheName_EndsWithoutASound) {
  // The owner has died before it knew that the old session is gone; its gateway is late at the next.
  other_.Unlink(node(1));
  other_.Unlink(node(2));
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  Move();
  Client& again = SignIn(gateway_, bob_, "b");
  ASSERT_FALSE(again.ended);
  alice->inbox.clear();
  other_.Link(node(2));
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_FALSE(again.ended);
  EXPECT_EQ(SessionsAt(2), 1u);
  EXPECT_EQ(Goodbyes(), 0u) << "the newer session is available";
}

TEST_F(SessionEndTest, SL10_ParkedRowOfAnEndedSession_DoesNotRise) {
  other_.EnableStreamManagement(*bob);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  const auto row = database_.parked;
  ASSERT_EQ(row.size(), 1u);
  Elapse(settings_.resume_timeout + std::chrono::seconds(2));
  ASSERT_EQ(Goodbyes(), 1u);
  database_.parked = row;  // an owner that woke up has written it once more
  Move();
  EXPECT_EQ(Goodbyes(), 1u);
  EXPECT_EQ(SessionsAt(2), 0u);
  EXPECT_THAT(database_.parked, IsEmpty());
}

TEST_F(SessionEndTest, SL8_TheRowIsRemovedBeforeTheEndIsFinished) {
  other_.EnableStreamManagement(*bob);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_EQ(database_.parked.size(), 1u);
  database_.on_call = [&](std::string_view call) { database_.down |= call == "RemoveSessions"; };
  Elapse(settings_.resume_timeout + std::chrono::seconds(2));
  ASSERT_EQ(Goodbyes(), 1u);
  ASSERT_EQ(database_.parked.size(), 1u);
  EXPECT_GT(node(1).domain.shards().Find(1)->window.size(), 0u);
  Move();
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(Goodbyes(), 1u);
}

// ---- accounts ---------------------------------------------------------------

TEST_F(SessionEndTest, SL7_AccountRemoved_ItsSessionsEndByRecordsOfTheirOwn) {
  events::v1::UserRecord record;
  record.mutable_origin()->set_shard(1);
  record.mutable_origin()->set_epoch(node(1).domain.shards().Find(1)->epoch);
  record.mutable_account_removed()->set_jid(bob_);
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "not-authorized");
  EXPECT_EQ(Goodbyes(), 1u);
  EXPECT_EQ(Ends().size(), 1u);
}

TEST_F(SessionEndTest, SL10_AccountRemoved_ASessionThatNobodyKnewThen_IsRefused) {
  other_.Unlink(node(1));
  other_.Unlink(node(2));
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  Move();  // knows nothing of bob
  events::v1::UserRecord record;
  record.mutable_origin()->set_shard(1);
  record.mutable_origin()->set_epoch(node(2).domain.shards().Find(1)->epoch);
  record.mutable_account_removed()->set_jid(bob_);
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  other_.Link(node(2));
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(SessionsAt(2), 0u);
}

// ---- h says what is in the log ----------------------------------------------

TEST_F(SessionEndTest, SL11_FailedResumption_CountsOnlyWhatIsInTheLog) {
  other_.EnableStreamManagement(*bob);
  other_.Send(*bob, Presence("unavailable"));
  Settle();
  roster_.held = true;
  other_.Send(*bob, Presence());
  other_.Send(*bob, Message(alice_, "m1"));  // waits behind the presence
  Settle();
  Client& fresh = gateway_.Start(bob_, "b");
  Settle();
  ASSERT_TRUE(fresh.started);
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  ASSERT_TRUE(resumed.resume_answers[0].has_ended_count());
  EXPECT_EQ(resumed.resume_answers[0].ended_inbound_count(), 2u) << "its first presences";
  roster_.held = false;
  Settle();
  EXPECT_THAT(alice->MessageIds(), IsEmpty());
}

// Sent again as another stanza, the message would be another message.
TEST_F(SessionEndTest, SL11_FailedResumption_WhatWentPastAQuestionIsCounted) {
  other_.EnableStreamManagement(*bob);
  roster_.held = true;
  other_.Send(*bob, Iq("get", {}, "r1", "query", "jabber:iq:roster"));
  other_.Send(*bob, Iq("get", {}, "r2", "query", "jabber:iq:roster"));
  other_.Send(*bob, Message(alice_, "m1"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  Client& fresh = gateway_.Start(bob_, "b");
  Settle();
  ASSERT_TRUE(fresh.started);
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].ended_inbound_count(), 4u);
  roster_.held = false;
  Settle();
}

TEST_F(SessionEndTest, SL11_FailedResumption_AChangeThatWaitsBehindAQuestionIsNotCounted) {
  other_.EnableStreamManagement(*bob);
  roster_.held = true;
  other_.Send(*bob, Iq("get", {}, "r", "query", "jabber:iq:roster"));
  other_.Send(*bob, Iq("set", {}, "s", "query", "jabber:iq:roster"));
  Settle();
  gateway_.Start(bob_, "b");
  Settle();
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].ended_inbound_count(), 2u);
  roster_.held = false;
  Settle();
}

TEST_F(SessionEndTest, SL11_FailedResumption_ALaterOwnerCountsTheSame) {
  other_.EnableStreamManagement(*bob);
  other_.Send(*bob, Message(alice_, "m1"));
  Settle();
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Move();
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  ASSERT_TRUE(resumed.resume_answers[0].has_ended_count());
  EXPECT_EQ(resumed.resume_answers[0].ended_inbound_count(), 2u);
}

// ---- sessions that died with their gateway and their owner ---------------------

class LostSessionTest : public SessionEndTest {
 protected:
  LostSessionTest() { Elapse(std::chrono::milliseconds(500)); }  // they are listed
  void ElapseGrace() { Elapse(settings_.link_grace + std::chrono::seconds(2)); }
};

TEST_F(LostSessionTest, SL14_GatewayAndOwnerDieTogether_ContactsAreToldOnce) {
  KillGatewayOf(*bob);
  Move();
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 1u) << "alice sees a ghost";
  EXPECT_THAT(directory_.All(), ElementsAre(::testing::Key(alice_ + "/a")));
}

TEST_F(LostSessionTest, SL14_TheNextOwnerDiesBeforeTheEndIsInTheLog_TheOneAfterItKnows) {
  KillGatewayOf(*bob);
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ElapseHeld(settings_.link_grace + std::chrono::seconds(1));
  Kill(2);
  log_.held = false;
  AddNode();
  Assign(1, 3);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(LostSessionTest, SL14_TheDirectoryIsAwayAtFirst_ContactsAreToldWhenItIsBack) {
  KillGatewayOf(*bob);
  directory_.down = true;
  Move();
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 0u);
  directory_.down = false;
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(LostSessionTest, SL14_WhileARegisteredGatewayMayBringIt_NobodyIsTold) {
  KillGatewayOf(*bob);
  node(2).settings.attach_timeout = std::chrono::milliseconds(0);
  node(2).membership.gateways.push_back("gw-3");
  Move();
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 0u);
  node(2).membership.gateways.pop_back();
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(LostSessionTest, SL14_ThatHadSaidItIsUnavailable_NobodyIsToldAgain) {
  other_.Send(*bob, Presence("unavailable"));
  Settle();
  ASSERT_EQ(Goodbyes(), 1u);
  Elapse(std::chrono::milliseconds(500));
  KillGatewayOf(*bob);
  Move();
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(LostSessionTest, SL14_ItsUserIsBackAlready_ContactsSeeTheNewSession) {
  KillGatewayOf(*bob);
  directory_.down = true;
  Move();
  SignIn(gateway_, bob_, "b");
  directory_.down = false;
  ElapseGrace();
  EXPECT_EQ(Goodbyes(), 0u);
  EXPECT_EQ(directory_.All()[bob_ + "/b"], "gw-1");
}

TEST_F(LostSessionTest, SL14_ItsClientResumes_IsToldThatItIsOverAndNoCount) {
  other_.EnableStreamManagement(*bob);
  KillGatewayOf(*bob);
  Move();
  ElapseGrace();
  Client& resumed = gateway_.Resume(*bob, 0);
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_TRUE(resumed.resume_answers[0].has_failure());
  EXPECT_FALSE(resumed.resume_answers[0].has_ended_count()) << "nobody knows what is in the log";
}

// Her subscription is taken back while nobody knows what has become of it: it is no news for her later.
TEST_F(LostSessionTest, ItsUserIsHiddenMeanwhile_WhoLosesSightIsTold) {
  KillGatewayOf(*bob);
  node(2).settings.attach_timeout = std::chrono::milliseconds(0);
  node(2).membership.gateways.push_back("gw-3");
  Move();
  Client& here = SignIn(gateway_, bob_, "here");
  gateway_.Send(here, Presence("unsubscribed", alice_));
  Settle();
  std::set<std::string> gone;
  for (const auto& presence : Only(alice->inbox, STANZA_KIND_PRESENCE, "unavailable"))
    gone.insert(presence.from());
  EXPECT_THAT(gone, ElementsAre(bob_, bob_ + "/b", bob_ + "/here"));
}

// Out of reach for everybody, and back after its sessions were told to be gone.
TEST_F(LostSessionTest, SL14_WhoBringsItAfterThat_IsTold) {
  other_.EnableStreamManagement(*bob);
  other_.Unlink(node(2));
  for (int number : {1, 2}) std::erase(node(number).membership.gateways, "gw-2");
  Move();
  ElapseGrace();
  ASSERT_EQ(Goodbyes(), 1u);
  other_.Link(node(2));
  Settle();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(Hellos(), 0u);
}

}  // namespace
}  // namespace rookery::session_manager
