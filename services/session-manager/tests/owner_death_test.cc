// The owner of a shard is killed between two lines: what a client has had is not given to its
// user again, and what it has not had is not lost (protos/README.md, "Cursor").
#include "owner_death.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- what the new owner has yet to find out -------------------------------

TEST_F(OwnerDeathTest, L6_TheRosterIsSlow_WhatWasGivenIsKnownBeforeItsSessionIsResumed) {
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  bob.acks = false;
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_);
  gateway_.End(bob, END_REASON_CONNECTION_LOST);
  Kill(1);
  roster_.settings_held = true;
  const int before = roster_.settings_gets;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return roster_.settings_gets > before; }));
  Settle();
  Client& resumed = other_.Resume(bob, static_cast<std::uint32_t>(bob.last_seq - bob.base_seq) - 2);
  resumed.inbox.clear();
  Say("m4", bob_);
  EXPECT_FALSE(IsLive(1));
  EXPECT_FALSE(resumed.started);
  roster_.settings_held = false;
  EXPECT_TRUE(RunUntil([&] { return resumed.MessageIds().size() >= 3; }));
  EXPECT_FALSE(resumed.ended);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m2", "m3", "m4"));
}

// ---- what the user has changed since ----

/// bob's client has been given something and has not acknowledged it; then bob changes what such things
/// depend on, and the owner dies.
class ChangedSinceTest : public OwnerDeathTest {
 protected:
  ChangedSinceTest() {
    bob = &SignIn(gateway_, bob_, "b");
    gateway_.EnableStreamManagement(*bob);
    bob->acks = false;
  }
  /// The client comes back, and has what it had not acknowledged.
  Client& MoveAndResume() {
    gateway_.End(*bob, END_REASON_CONNECTION_LOST);
    Move();
    Client& resumed = other_.Resume(*bob, 0);
    resumed.inbox.clear();
    Settle();
    Elapse(std::chrono::seconds(1));
    EXPECT_TRUE(resumed.started);
    EXPECT_FALSE(resumed.ended);
    return resumed;
  }
  Client* bob = nullptr;
};

TEST_F(ChangedSinceTest, L7_UnavailableSince_PresenceIsResent) {
  gateway_.Send(*alice, Presence({}, bob_));
  Settle();
  gateway_.Send(*bob, Presence("unavailable"));
  Settle();
  EXPECT_GE(Only(MoveAndResume().inbox, STANZA_KIND_PRESENCE, {}).size(), 1u);
}

TEST_F(ChangedSinceTest, L7_CarbonsAreOffSince_TheCopyIsResent) {
  Client& desk = SignIn(other_, bob_, "desk");
  gateway_.Send(*bob, Iq("set", {}, "on", "enable", "urn:xmpp:carbons:2"));
  Settle();
  other_.Send(desk, Message(alice_, "m1"));
  Settle();
  gateway_.Send(*bob, Iq("set", {}, "off", "disable", "urn:xmpp:carbons:2"));
  Settle();
  EXPECT_EQ(Only(MoveAndResume().inbox, STANZA_KIND_MESSAGE, "chat").size(), 1u);
}

TEST_F(ChangedSinceTest, L7_TheSenderIsBlockedSince_TheMessageIsResent_AndNoErrorIsSent) {
  Say("m1", bob_);
  gateway_.Send(*alice, Presence({}, bob_));
  Settle();
  roster_.blocked[bob_].push_back(alice_);
  alice->inbox.clear();
  const Client& resumed = MoveAndResume();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_MESSAGE, "error"), IsEmpty());
}

// ---- offline messages -------------------------------------------------------

TEST_F(OwnerDeathTest, OfflineAcknowledged_BeforeTheMark_NotGivenToTheNextSession) {
  Say("m1", bob_);
  Say("m2", bob_);
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  database_.on_call = [&](std::string_view call) { database_.down |= call == "MarkGiven"; };
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.Send(bob, Presence());
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  database_.on_call = {};
  Move();
  EXPECT_EQ(database_.Waiting(bob_), 0u) << "the gateway knew that its client has them";
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(OwnerDeathTest, OfflineAcknowledged_TheStoreHasRefusedTheMark_TheNextOwnerMarks) {
  Say("m1", bob_);
  Say("m2", bob_);
  database_.refuses_marks = true;
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.Send(bob, Presence());
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  database_.refuses_marks = false;
  Move();
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(OwnerDeathTest, OfflineAcknowledged_SessionClosed_BeforeTheMark) {
  Say("m1", bob_);
  database_.on_call = [&](std::string_view call) { database_.down |= call == "MarkGiven"; };
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.Send(bob, Presence());
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1"));
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  EXPECT_FALSE(bob.ended) << "its gateway is the only one who knows";
  database_.on_call = {};
  Move();
  EXPECT_TRUE(bob.ended);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(OwnerDeathTest, OfflinePartlyAcknowledged_TheRestIsGivenAgain) {
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_);
  database_.on_call = [&](std::string_view call) { database_.down |= call == "MarkGiven"; };
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  bob.acks = false;
  other_.Send(bob, Presence());
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  std::vector<std::uint64_t> seqs;
  for (const auto& packet : bob.unacked)
    if (packet.stored_id() != 0) seqs.push_back(packet.seq());
  ASSERT_EQ(seqs.size(), 3u);
  other_.Deliver(bob, seqs[1]);
  Settle();
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  database_.on_call = {};
  Move();
  EXPECT_THAT(NextSession(), ElementsAre("m3"));
}

TEST_F(OwnerDeathTest, OfflineNumbersThatNeverArrived_AreNotTakenForAcknowledged) {
  // The state that says "packet 2 is m1" arrives, the packet does not; packet 2 is another one then.
  Say("m1", bob_);
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  bob.acks = false;
  other_.Send(bob, Presence());
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1"));
  bob.inbox.clear();
  bob.last_seq = bob.acked_seq = 0;
  bob.last_offset = bob.last_primary = -1;
  bob.unacked.clear();
  bob.acks = true;
  Move();
  Say("m2", bob_);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  Kill(2);
  Node& third = AddNode();
  Assign(1, third.number);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(OwnerDeathTest, OfflineGivenHalfway_TheNextOwnerGoesOn) {
  for (int i = 0; i < 400; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  ASSERT_EQ(database_.Waiting(bob_), 400u);
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  bob.acks = false;
  other_.Send(bob, Presence());
  Settle();
  const std::size_t before = bob.MessageIds().size();
  ASSERT_GT(before, 0u);
  ASSERT_LT(before, 400u);
  Move();
  bob.acks = true;
  other_.Deliver(bob, bob.last_seq);
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() >= 400; }));
  Settle();
  std::vector<std::string> all;
  for (int i = 0; i < 400; ++i) all.push_back("m" + std::to_string(i));
  EXPECT_EQ(bob.MessageIds(), all);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(OwnerDeathTest,
       W10_ItsGatewayDoesNotKnowThatSomethingWasStored_AwayAtTheNextOwner_HandedItWhenItIsBack) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  Settle();
  const std::string known = bob.state;
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(known));
  ASSERT_TRUE(state.available() && state.offline_given());
  other_.Send(bob, Presence("unavailable"));
  Settle();
  Say("m1", bob_);
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  Kill(1);
  // The state that the owner has said last has not arrived.
  bob.state = known;
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  Client& resumed = gateway_.Resume(bob, static_cast<std::uint32_t>(bob.last_seq - bob.base_seq));
  resumed.inbox.clear();
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(resumed.started);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

/// A session has been given what waited for its user, and has acknowledged nothing of it.
class GivenWhatWaitedTest : public OwnerDeathTest {
 protected:
  Client& GivenWhatWaited() {
    Say("m1", bob_);
    Say("m2", bob_);
    Elapse(std::chrono::seconds(1));
    Client& bob = SignIn(other_, bob_, "b", std::nullopt);
    other_.EnableStreamManagement(bob);
    bob.acks = false;
    other_.Send(bob, Presence());
    Settle();
    Elapse(std::chrono::seconds(1));
    EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
    return bob;
  }
  void ExpectResumedWithAll(Client& bob) {
    other_.End(bob, END_REASON_CONNECTION_LOST);
    Settle();
    Client& resumed = gateway_.Resume(bob, 0);
    resumed.inbox.clear();
    resumed.acks = true;
    Settle();
    ASSERT_TRUE(resumed.started);
    EXPECT_FALSE(resumed.ended);
    EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1", "m2"));
    EXPECT_EQ(database_.Waiting(bob_), 0u);
  }
};

TEST_F(GivenWhatWaitedTest, OfflineUnacknowledged_TheStreamResumesAtTheNextOwner) {
  // The records are behind the cursor: only the store has the stanzas.
  Client& bob = GivenWhatWaited();
  Move();
  ExpectResumedWithAll(bob);
}

TEST_F(GivenWhatWaitedTest, L8_ItsGatewayComesWhileTheStoreIsAskedWhoWaits_TheStreamIsResumed) {
  SignIn(gateway_, UserIn(1, 1), "c");  // somebody whom the store is asked about
  Client& bob = GivenWhatWaited();
  other_.Unlink(node(2));
  std::erase(node(2).membership.gateways, "gw-2");
  bool is_asked = false, is_open = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    is_asked = is_asked || call == "OwnersWaiting";
    while (call == "OwnersWaiting" && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return is_asked; }));
  other_.Link(node(2));
  Settle();
  ASSERT_FALSE(IsLive(1));
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  database_.on_slow = {};
  Elapse(std::chrono::seconds(1));
  ExpectResumedWithAll(bob);
}

TEST_F(OwnerDeathTest, StoreUnderWay_WhileTheSessionBecomesAvailable) {
  // The message is on its way to the store, the session that was there all the time becomes
  // available and is given newer things; then the owner dies and the message was never stored.
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  database_.down = true;
  Say("m1", bob_);
  roster_.Befriend(alice_, bob_);
  other_.Send(bob, Presence());
  Settle();
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  Elapse(std::chrono::seconds(4));
  ASSERT_EQ(Only(bob.inbox, STANZA_KIND_IQ).size(), 1u);
  ASSERT_THAT(bob.MessageIds(), IsEmpty());
  Move();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(OwnerDeathTest, StoredWhileTheSessionWasUnavailable_GivenOnce) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  StopCommits();
  Say("m1", bob_);
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  // It becomes available, and before anything is given the owner dies.
  database_.down = true;
  other_.Send(bob, Presence());
  Settle();
  Move();
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == 1; }));
  Elapse(std::chrono::seconds(10));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(OwnerDeathTest, L3_WhatWaits_ComesBeforeWhatCameLater) {
  Say("m1", bob_);
  Say("m2", bob_);
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  // It becomes available, and before anything is given the owner dies.
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  database_.down = true;
  other_.Send(bob, Presence());
  Settle();
  Say("m3", bob_);
  ASSERT_THAT(bob.MessageIds(), IsEmpty());
  Move();
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == 3; }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  Elapse(std::chrono::seconds(10));
  EXPECT_EQ(bob.MessageIds().size(), 3u);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

// ---- the end of a session ---------------------------------------------------

TEST_F(OwnerDeathTest, AcknowledgedAndClosed_BeforeTheCommit_NotStored) {
  StopCommits();
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_ + "/b");
  Say("m2", bob_);
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  EXPECT_FALSE(bob.ended) << "its gateway is the only one who knows";
  Move();
  EXPECT_TRUE(bob.ended);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(OwnerDeathTest, AcknowledgedAndClosed_BehindASilentClient) {
  const std::string carol_ = UserIn(1, 1);
  Client& carol = SignIn(other_, carol_, "c");
  carol.acks = false;
  Say("c1", carol_);
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  EXPECT_FALSE(bob.ended);
  Move();
  EXPECT_TRUE(bob.ended || RunUntil([&] {
                Elapse(settings_.window_time);
                return bob.ended.has_value();
              }));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
  EXPECT_THAT(carol.MessageIds(), ElementsAre("c1"));
}

TEST_F(OwnerDeathTest, E3_AcknowledgedAndAway_ItsNameIsTaken_BehindASilentClient) {
  const std::string carol_ = UserIn(1, 1);
  Client& carol = SignIn(gateway_, carol_, "c");
  carol.acks = false;
  Say("c1", carol_);
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  Say("m1", bob_);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(bob.parked);
  Client& next = SignIn(other_, bob_, "b");
  EXPECT_THAT(next.MessageIds(), IsEmpty());
  Move();
  EXPECT_THAT(next.MessageIds(), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

/// Bob's client has acknowledged messages before another one took its name, while a silent client holds the
/// cursor.
class ReplacedTest : public OwnerDeathTest {
 protected:
  void ExpectEachHasItsOwn(const std::string& to) {
    Client& carol = SignIn(gateway_, UserIn(1, 1), "c");
    carol.acks = false;
    Say("c1", UserIn(1, 1));
    Client& bob = SignIn(other_, bob_, "b");
    Say("m1", to);
    Client& next = SignIn(other_, bob_, "b");
    Say("m2", to);
    EXPECT_FALSE(bob.ended);
    Elapse(std::chrono::seconds(2));
    ASSERT_TRUE(bob.ended) << "its connection is open";
    EXPECT_EQ(bob.ended->condition(), "conflict");
    EXPECT_TRUE(bob.ended->keep());
    Move();
    Say("m3", to);
    Elapse(std::chrono::seconds(2));
    EXPECT_THAT(next.MessageIds(), ElementsAre("m2", "m3"));
    EXPECT_EQ(database_.Waiting(bob_), 0u);
    Elapse(settings_.window_time + std::chrono::seconds(2));
    EXPECT_FALSE(bob.ended->keep());
    EXPECT_TRUE(bob.forgotten);
  }
};

TEST_F(ReplacedTest, E4_ClosedInTime_AndKnownUntilTheCursorHasPassed) { ExpectEachHasItsOwn(bob_); }

TEST_F(ReplacedTest, E6_TheSameOfTheirFullAddress) { ExpectEachHasItsOwn(bob_ + "/b"); }

TEST_F(OwnerDeathTest, E6_AcknowledgedAndAway_ItsNameIsTaken) {
  Client& carol = SignIn(gateway_, UserIn(1, 1), "c");
  carol.acks = false;
  Say("c1", UserIn(1, 1));
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  Say("m1", bob_ + "/b");
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q1", "ping", "urn:xmpp:ping"));
  Settle();
  other_.Deliver(bob, bob.last_seq);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(bob.parked);
  Client& next = SignIn(other_, bob_, "b");
  Say("m2", bob_ + "/b");
  Move();
  EXPECT_THAT(next.MessageIds(), ElementsAre("m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(Only(alice->Take(), STANZA_KIND_IQ), IsEmpty()) << "bob's client may answer it yet";
}

TEST_F(OwnerDeathTest, W6_OfflineAcknowledged_TheMarkStaysUntilTheRecordIsFinished) {
  const std::string carol_ = UserIn(1, 1);
  roster_.stuck = alice_;
  gateway_.Send(*alice, Presence("subscribe", carol_));
  Settle();
  Say("m1", bob_);
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.Send(bob, Presence());
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1"));
  ASSERT_EQ(database_.Waiting(bob_), 0u);
  for (int i = 0; i < 3; ++i) Elapse(settings_.duplicate_horizon);
  EXPECT_EQ(database_.offline[bob_].size(), 1u) << "the cursor is before it";
  roster_.stuck.clear();
  EXPECT_TRUE(RunUntil([&] {
    Elapse(settings_.duplicate_horizon);
    return database_.offline[bob_].empty();
  }));
}

TEST_F(OwnerDeathTest, ClosedBehindASilentClient_ToldWhenTheCursorHasPassed) {
  Client& carol = SignIn(other_, UserIn(1, 1), "c");
  carol.acks = false;
  Say("c1", UserIn(1, 1));
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_);
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  EXPECT_FALSE(bob.ended);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  EXPECT_TRUE(bob.ended);
}

TEST_F(OwnerDeathTest, E3_ItsGatewayAttachesAgain_KeptUntilTheCursorHasPassed) {
  Client& carol = SignIn(gateway_, UserIn(1, 1), "c");
  carol.acks = false;
  Say("c1", UserIn(1, 1));
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_);
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  ASSERT_FALSE(bob.ended);
  other_.Relink(node(1));
  Settle();
  EXPECT_FALSE(bob.forgotten) << "nobody else knows what its client has had";
  Move();
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(OwnerDeathTest, EndedWhileItsClientsStanzasAreOnTheirWay_TheNextOwnerTellsNoCount) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  log_.held = true;
  other_.Send(bob, Message(alice_, "b1"));
  Client& next = gateway_.Start(bob_, "b");  // takes the resource
  Settle();
  log_.held = false;
  Settle();
  ASSERT_TRUE(next.started);
  Elapse(std::chrono::seconds(1));
  ASSERT_THAT(alice->MessageIds(), ElementsAre("b1"));
  Move();
  Client& again = other_.Resume(bob, 0);
  Settle();
  ASSERT_EQ(again.resume_answers.size(), 1u);
  const auto& answer = again.resume_answers[0];
  EXPECT_TRUE(!answer.has_ended_count() || answer.ended_inbound_count() == bob.sent)
      << answer.ended_inbound_count();
}

TEST_F(OwnerDeathTest, NothingWasAddressedToIt_ToldAtOnce) {
  Client& bob = SignIn(other_, bob_, "b");
  Elapse(std::chrono::seconds(1));
  StopCommits();
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  EXPECT_TRUE(bob.ended);
}

TEST_F(OwnerDeathTest, AConnectionIsNotHeldOpenForLong) {
  StopCommits();
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_);
  Client& again = SignIn(gateway_, bob_, "b");  // takes the resource
  EXPECT_FALSE(bob.ended);
  Elapse(std::chrono::seconds(2));
  ASSERT_TRUE(bob.ended);
  EXPECT_EQ(bob.ended->condition(), "conflict");
  EXPECT_FALSE(again.ended);
}

TEST_F(OwnerDeathTest, ReplacedSession_TheNextOwnerEndsItToo) {
  StopCommits();
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_);
  Client& again = SignIn(gateway_, bob_, "b");
  EXPECT_FALSE(bob.ended);
  Move();
  ASSERT_TRUE(bob.ended);
  EXPECT_EQ(bob.ended->condition(), "conflict");
  EXPECT_FALSE(again.ended);
  EXPECT_THAT(again.MessageIds(), IsEmpty());
  Say("m2", bob_);
  EXPECT_THAT(again.MessageIds(), ElementsAre("m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(OwnerDeathTest, RequestAnsweredAndClosed_NoSecondAnswer) {
  StopCommits();
  Client& bob = SignIn(other_, bob_, "b");
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  Settle();
  ASSERT_EQ(Only(bob.inbox, STANZA_KIND_IQ).size(), 1u);
  xmpp::Stanza answer = Iq("result", alice_ + "/a", "q");
  other_.Send(bob, answer);
  Settle();
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  Move();
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_IQ).size(), 1u);
}

TEST_F(OwnerDeathTest, RequestToAnEarlierSessionOfThatName_GetsItsAnswer) {
  // Nobody read it in time; a new session has the name now.
  Client& bob = SignIn(other_, bob_, "b");
  Kill(1);
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  Settle();
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(bob.state));
  state.set_start_offset(static_cast<std::int64_t>(log_.users[1].size()) - 1);
  bob.state = state.SerializeAsString();
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  EXPECT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ, "error").empty(); }));
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_IQ, "error").size(), 1u);
}

TEST_F(OwnerDeathTest, L5_GatewayAndOwnerDieTogether_WhatTheOtherSessionWasSentHidesNothing) {
  Client& phone = SignIn(other_, bob_, "phone", 5);
  Client& desk = SignIn(gateway_, bob_, "desk", 1);
  phone.acks = false;
  Say("m1", bob_);
  ASSERT_THAT(phone.MessageIds(), ElementsAre("m1"));
  gateway_.Send(*alice, Presence({}, bob_ + "/desk"));
  Settle();
  phone.forgotten = true;
  Move();
  EXPECT_TRUE(RunUntil([&] { return !desk.MessageIds().empty(); }));
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
}

TEST_F(OwnerDeathTest, L5_TheDeskHasIt_ThePhoneLeftBeforeItHadWhatWaits_NotHandedOutAgain) {
  Client& phone = SignIn(gateway_, bob_, "phone", std::nullopt);
  gateway_.EnableStreamManagement(phone);
  database_.down = true;
  gateway_.Send(phone, Presence());
  Settle();
  gateway_.End(phone, END_REASON_CONNECTION_LOST);
  database_.down = false;
  Elapse(std::chrono::seconds(5));
  ASSERT_TRUE(phone.parked);
  Client& desk = SignIn(other_, bob_, "desk");
  other_.EnableStreamManagement(desk);
  ASSERT_TRUE(RunUntil([&] {
    session::v1::SessionManagerState state;
    return state.ParseFromString(desk.state) && state.offline_given();
  }));
  StopCommits();
  Say("m1", bob_);
  ASSERT_THAT(desk.MessageIds(), ElementsAre("m1"));
  other_.End(desk, END_REASON_CONNECTION_LOST);
  Move();
  Client& resumed = gateway_.Resume(desk, static_cast<std::uint32_t>(desk.last_seq - desk.base_seq));
  resumed.inbox.clear();
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(resumed.started);
  EXPECT_THAT(resumed.MessageIds(), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(OwnerDeathTest, P6_ToASessionThatIsGone_ANewOneHasItsNameAtTheNextOwner_NotGivenAgain) {
  StopCommits();
  Client& desk = SignIn(other_, bob_, "desk");
  Say("m1", bob_ + "/phone");
  Say("m2", bob_ + "/desk");
  ASSERT_THAT(desk.MessageIds(), ElementsAre("m1", "m2"));
  Client& phone = SignIn(other_, bob_, "phone");
  Move();
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(phone.MessageIds(), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(OwnerDeathTest, P6_GatewayAndOwnerDieTogether_TheOtherSessionIsGivenWhatThePhoneHadNotAcknowledged) {
  StopCommits();
  Client& phone = SignIn(gateway_, bob_, "phone");
  phone.acks = false;
  Client& desk = SignIn(other_, bob_, "desk");
  Say("m1", phone.jid);
  Say("m2", desk.jid);
  ASSERT_THAT(desk.MessageIds(), ElementsAre("m2"));
  phone.forgotten = true;
  Move();
  EXPECT_TRUE(RunUntil([&] { return desk.MessageIds().size() > 1; }));
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m2", "m1"));
}

TEST_F(OwnerDeathTest, AcknowledgedThenUnavailable_NotStoredAgain) {
  StopCommits();
  Client& bob = SignIn(other_, bob_, "b");
  Say("m1", bob_);
  other_.Send(bob, Presence("unavailable"));
  Settle();
  Say("m2", bob_);
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  Move();
  EXPECT_EQ(database_.Waiting(bob_), 1u) << "m2 only";
  other_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
}

TEST_F(OwnerDeathTest, PacketsInTheStore_TheSessionEnds_TheyAreNotRemovedBeforeTheyAreKept) {
  // The cursor has passed: the rows are the last trace of the messages.
  for (const bool resumable : {true, false}) {
    const std::string user = UserIn(1, resumable ? 1 : 2);
    Client& carol = SignIn(other_, user, "c");
    carol.acks = false;
    if (resumable) other_.EnableStreamManagement(carol);
    Say("m1", user);
    Elapse(settings_.window_time + std::chrono::seconds(2));
    ASSERT_EQ(database_.Packets(user, carol.id), 1u);
    const int owner = owners_[1];
    database_.on_call = [&](std::string_view call) { database_.down |= call == "StoreOffline"; };
    other_.End(carol, END_REASON_CLOSED);
    Settle();
    EXPECT_FALSE(carol.ended);
    EXPECT_EQ(database_.Packets(user, carol.id), 1u);
    database_.on_call = {};
    Kill(owner);
    database_.down = false;
    Assign(1, owner == 1 ? 2 : AddNode().number);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(2));
    EXPECT_TRUE(carol.ended);
    EXPECT_EQ(database_.Waiting(user), 1u);
    EXPECT_EQ(database_.Packets(user, carol.id), 0u);
  }
}

TEST_F(OwnerDeathTest, ParkedSession_ItsTimeEndsWhileNobodyOwnsTheShard) {
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  bob.acks = false;
  Say("m1", bob_);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_TRUE(bob.parked);
  ASSERT_EQ(database_.Packets(bob_, bob.id), 1u);
  Kill(1);
  clock_.Advance(settings_.resume_timeout);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(database_.Packets(bob_, bob.id), 0u);
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

/// The store has a clock of its own.
class ParkedUnderAnotherClock : public OwnerDeathTest {
 protected:
  ParkedUnderAnotherClock() { database_.clock = &clock_of_database_; }
  ~ParkedUnderAnotherClock() override { database_.clock = &clock_; }
  /// A session of bob's is parked, and its owner dies.
  void ParkAndKill() {
    Client& bob = SignIn(other_, bob_, "b");
    other_.EnableStreamManagement(bob);
    other_.End(bob, END_REASON_CONNECTION_LOST);
    Settle();
    ASSERT_TRUE(bob.parked);
    Kill(1);
  }

  testing::HandClock clock_of_database_;
};

TEST_F(ParkedUnderAnotherClock, TheNextOwnersClockIsAhead_ItIsKept) {
  ParkAndKill();
  clock_.Advance(settings_.resume_timeout + std::chrono::hours(3));
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(node(2).domain.table().size(), 1u);
  Elapse(settings_.resume_timeout);
  EXPECT_EQ(node(2).domain.table().size(), 0u);
}

TEST_F(ParkedUnderAnotherClock, TheNextOwnersClockIsBehind_ItEnds) {
  ParkAndKill();
  clock_of_database_.Advance(settings_.resume_timeout);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(node(2).domain.table().size(), 0u);
}

TEST_F(OwnerDeathTest, SL4_TheStateChangesWhileParked_ItsTimeGoesOn) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.EnableStreamManagement(bob);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(settings_.resume_timeout - std::chrono::seconds(10));
  // Stored, since the session is not available, and passed over by it: its row is written again.
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  Move();
  ASSERT_EQ(node(2).domain.table().size(), 1u);
  Elapse(std::chrono::seconds(10));
  EXPECT_EQ(node(2).domain.table().size(), 0u);
}

TEST_F(OwnerDeathTest, L5_PassedOverAndThenPresenceCame_GivenAllTheSame) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  database_.down = true;
  other_.Send(bob, Presence());
  Settle();
  Say("m1", bob_ + "/b");
  gateway_.Send(*alice, Presence({}, bob_ + "/b"));
  Settle();
  Elapse(std::chrono::seconds(4));
  ASSERT_THAT(bob.MessageIds(), IsEmpty());
  Move();
  EXPECT_TRUE(RunUntil([&] { return !bob.MessageIds().empty(); }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
}

TEST_F(OwnerDeathTest, SL4_TheStateChangesWhileItIsParked_TheRowSaysSo) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.EnableStreamManagement(bob);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(bob.parked);
  // Stored, since the session is not available, and passed over by it.
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.parked.size(), 1u);
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(database_.parked.begin()->second.session.attach.state()));
  EXPECT_EQ(state.passed_over_size(), 1);
}

// ---- messages of a session that has ended -----------------------------------

TEST_F(OwnerDeathTest, TheDeskHasIt_ThePhonesSessionEndsAtTheNextOwner_NotGivenAgain) {
  Client& phone = SignIn(gateway_, bob_, "phone");
  gateway_.EnableStreamManagement(phone);
  Client& desk = SignIn(other_, bob_, "desk");
  gateway_.End(phone, END_REASON_CONNECTION_LOST);
  Settle();
  Say("m1", bob_);
  ASSERT_THAT(desk.MessageIds(), ElementsAre("m1"));
  Elapse(settings_.window_time + std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, phone.id), 1u);
  Move();
  Elapse(settings_.resume_timeout + std::chrono::seconds(2));
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Packets(bob_, phone.id), 0u);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

class ReroutedTest : public OwnerDeathTest {
 protected:
  // m1 is at the phone, unacknowledged; the desk, at the other gateway, has newer ones.
  ReroutedTest() {
    phone = &SignIn(gateway_, bob_, "phone", 50);
    desk = &SignIn(other_, bob_, "desk", 1);
    phone->acks = false;
    Say("m1", bob_);
    Say("m2", bob_ + "/desk");
    EXPECT_THAT(phone->MessageIds(), ElementsAre("m1"));
    EXPECT_THAT(desk->MessageIds(), ElementsAre("m2"));
  }
  void ExpectOnceAtTheDesk() {
    EXPECT_THAT(desk->MessageIds(), ElementsAre("m2", "m1"));
    EXPECT_EQ(database_.Waiting(bob_), 0u);
    EXPECT_THAT(NextSession(), IsEmpty());
  }
  Client* phone = nullptr;
  Client* desk = nullptr;
};

TEST_F(ReroutedTest, PhonesGatewayHearsItsEnd_TheDesksPacketIsLost) {
  gateway_.End(*phone, END_REASON_CLOSED);
  SettleWithoutOther();
  Move();
  ExpectOnceAtTheDesk();
}

TEST_F(ReroutedTest, StoreAway_GivenFromMemory) {
  database_.down = true;
  gateway_.End(*phone, END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m2", "m1"));
  Move();
  ExpectOnceAtTheDesk();
  EXPECT_TRUE(phone->ended);
}

TEST_F(ReroutedTest, Given_NotMarked) {
  database_.on_call = [&](std::string_view call) { database_.down |= call == "MarkGiven"; };
  gateway_.End(*phone, END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m2", "m1"));
  database_.on_call = {};
  Move();
  ExpectOnceAtTheDesk();
}

TEST_F(ReroutedTest, GivenAndNotAcknowledged) {
  desk->acks = false;
  gateway_.End(*phone, END_REASON_CLOSED);
  Settle();
  Move();
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m2", "m1"));
  EXPECT_EQ(database_.Waiting(bob_), 1u);
  other_.Deliver(*desk, desk->last_seq);
  Settle();
  ExpectOnceAtTheDesk();
}

TEST_F(ReroutedTest, ThePhonesGatewayIsDead) {
  // Nobody can attach the phone: the desk's state says that it was not given m1 from the log.
  database_.on_call = [&](std::string_view call) { database_.down |= call == "StoreOffline"; };
  const auto session = node(1).domain.table().Find(SessionId(phone->id));
  session->gateway = nullptr;
  phone->forgotten = true;
  node(1).domain.ends().End(session, "connection-timeout");
  Settle();
  database_.on_call = {};
  Move();
  ExpectOnceAtTheDesk();
}

TEST_F(ReroutedTest, StoreAway_OtherMessagesComeAfter) {
  database_.down = true;
  gateway_.End(*phone, END_REASON_CLOSED);
  Settle();
  Say("m3", bob_);
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m2", "m1", "m3"));
}

}  // namespace
}  // namespace rookery::session_manager
