#include "domain/records/record_order.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "cluster.h"
#include "domain/delivery/delivery_state.h"
#include "domain/delivery/held_records.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CLOSED;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RecordKey Stanza(std::string peer) { return {RecordClass::kStanza, std::move(peer)}; }
RecordKey Text(std::string peer) { return {RecordClass::kMessage, std::move(peer)}; }
RecordKey Query(std::string peer) { return {RecordClass::kAccountQuery, std::move(peer)}; }

TEST(MustWaitTest, Rule1_ForTheSameSenderOnly) {
  EXPECT_TRUE(MustWait(Text("a@x"), Stanza("a@x")));
  EXPECT_TRUE(MustWait(Stanza("a@x"), Text("a@x")));
  EXPECT_FALSE(MustWait(Text("b@x"), Stanza("a@x")));
}

TEST(MustWaitTest, Rule2_NotForAnAnswer_ButAnswersKeepTheirOrder) {
  EXPECT_FALSE(MustWait(Text("a@x"), Query("a@x")));
  EXPECT_TRUE(MustWait(Query("a@x"), Query("a@x")));
  EXPECT_FALSE(MustWait(Query("b@x"), Query("a@x")));
  EXPECT_TRUE(MustWait(Query("a@x"), Stanza("a@x")));
}

TEST(MustWaitTest, Rule3_WhatGoesOutAndTheUsersOwnRequests) {
  RecordKey out = Stanza("a@x");
  out.is_outbound = true;
  RecordKey own = out;
  own.record_class = RecordClass::kOwnRequest;
  own.peer = "u@x";
  EXPECT_TRUE(MustWait(out, own));
  EXPECT_TRUE(MustWait(own, out));
  EXPECT_FALSE(MustWait(Stanza("a@x"), out));
}

TEST(MustWaitTest, Rule4_EverythingForAChangeOfTheSettings) {
  RecordKey change{RecordClass::kSettingsRequest, "u@x"};
  change.is_outbound = true;
  EXPECT_TRUE(MustWait(Text("a@x"), change));
  EXPECT_TRUE(MustWait(Query("a@x"), change));
}

TEST(MustWaitTest, Rule5_TheEndOfASessionForWhatAnEarlierOwnerMayHaveSent) {
  const RecordKey end{RecordClass::kSessionEnd, "u@x"};
  RecordKey text = Text("a@x");
  EXPECT_FALSE(MustWait(end, text));
  text.is_recovering = true;
  EXPECT_TRUE(MustWait(end, text));
  EXPECT_FALSE(MustWait(text, end));
}

// ---- what the next owner knows of records that waited -------------------------

TEST(HeldRecordsTest, WhatWaited_IsKnownUntilItIsGiven) {
  Session session;
  session.last_offset = 4;
  EXPECT_FALSE(HoldRecords(session, {3, 4}));  // given, or of before
  EXPECT_TRUE(HoldRecords(session, {7, 9}));
  EXPECT_TRUE(IsHeld(session, 7));
  EXPECT_FALSE(IsHeld(session, 8));
  EXPECT_TRUE(NoteHeldGiven(session, 7, 12));
  EXPECT_FALSE(NoteHeldGiven(session, 8, 13));
  EXPECT_FALSE(IsHeld(session, 7));
  EXPECT_TRUE(IsHeld(session, 9));
}

TEST(HeldRecordsTest, OneThatIsPassedTwice_IsNotedOnce) {
  Session session;
  EXPECT_TRUE(HoldRecords(session, {501}));
  EXPECT_FALSE(HoldRecords(session, {501}));
  EXPECT_TRUE(NoteHeldGiven(session, 501, 7));
  EXPECT_FALSE(IsHeld(session, 501));
}

TEST(HeldRecordsTest, AfterAChangeOfOwner_TheNumberTellsWhetherItWasGiven) {
  for (const std::uint64_t arrived : {11u, 12u}) {
    Session session;
    HoldRecords(session, {7});
    NoteHeldGiven(session, 7, 12);
    session.last_seq = arrived;
    SettleHeld(session);
    EXPECT_EQ(IsHeld(session, 7), arrived == 11u);
  }
}

TEST(HeldRecordsTest, AcknowledgedOrFinished_Forgotten) {
  Session session;
  HoldRecords(session, {7, 8, 9});
  NoteHeldGiven(session, 7, 1);
  session.acked_seq = 1;
  ReleaseRecord(session, 8);
  ASSERT_EQ(session.state.held_records_size(), 1);
  EXPECT_EQ(session.state.held_records(0).offset(), 9);
}

// ---- together -----------------------------------------------------------------

class RecordOrderTest : public Cluster {
 protected:
  RecordOrderTest() : Cluster(3), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    eve_ = UserIn(1);
    bob_ = UserIn(2);
    bob = &SignIn(gateway_, bob_, "b");
    alice = &SignIn(gateway_, alice_, "a");
    eve = &SignIn(gateway_, eve_, "e");
  }
  /// alice's request is on its way into bob's roster, which does not take it.
  void AskAndStick() {
    roster_.stuck = alice_;
    gateway_.Send(*alice, Presence("subscribe", bob_));
    Settle();
    ASSERT_EQ(alice->confirmed, alice->sent);
  }
  /// bob's owner dies, another takes over.
  void Move() {
    Kill(1);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(2) && IsLive(3); }));
    Settle();
  }
  /// More than may wait for one user.
  static constexpr std::size_t kMessages = 40;
  void SayMuch(Client& from) {
    for (std::size_t i = 0; i < kMessages; ++i) {
      xmpp::Stanza message = Message(bob_, "m" + std::to_string(i));
      message.set_payload("<body>" + std::string(256 * 1024, 'x') + "</body>");
      gateway_.Send(from, message);
      Settle();
    }
  }
  std::size_t Requests(const Client& client) {
    return Only(client.inbox, STANZA_KIND_PRESENCE, "subscribe").size();
  }
  bool RequestArrives() {
    return RunUntil([&] { return Requests(*bob) == 1; });
  }
  Gateway& gateway_;
  std::string alice_, bob_, eve_;
  Client* alice = nullptr;
  Client* bob = nullptr;
  Client* eve = nullptr;
};

TEST_F(RecordOrderTest, ARequestThatCannotBeStored_HoldsBackItsSenderOnly) {
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  gateway_.Send(*eve, Message(bob_, "m1"));
  gateway_.Send(*eve, Presence("subscribe", bob_));
  gateway_.Send(*eve, Message(bob_, "m2"));
  gateway_.Send(*eve, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(Requests(*bob), 1u);
  EXPECT_EQ(Only(bob->inbox, STANZA_KIND_IQ, "get").size(), 1u);
  // Bob's own stanzas go on, too.
  gateway_.Send(*bob, Presence({}, {}, 3));
  gateway_.Send(*bob, Iq("get", {}, "r", "query", "jabber:iq:roster"));
  gateway_.Send(*bob, Message(eve_, "from bob"));
  Settle();
  EXPECT_EQ(bob->confirmed, bob->sent);
  EXPECT_THAT(eve->MessageIds(), ElementsAre("from bob"));
  bob->inbox.clear();
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return !bob->MessageIds().empty(); }));
  ASSERT_EQ(bob->inbox.size(), 2u);
  EXPECT_EQ(bob->inbox[0].type(), "subscribe");
  EXPECT_EQ(bob->inbox[1].id(), "later");
}

TEST_F(RecordOrderTest, WhatIsToFinishARecordFails_ItIsFinishedByAShardThatIsAcquiredAfresh) {
  roster_.changes_held = true;
  gateway_.Send(*alice, Presence("subscribe", bob_));
  Settle();
  roster_.changes_held = false;
  roster_.rosters[bob_][alice_].approved = true;  // what follows is an answer
  log_.on_append = [&](events::Topic) {
    log_.on_append = nullptr;
    throw std::runtime_error("half-way");
  };
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_PRESENCE, "subscribed").empty(); }));
  EXPECT_FALSE(log_.on_append);
  Settle();
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_FALSE(bob->ended);
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(RecordOrderTest, ApplyingARecordThatHasWaitedFails_ItIsAppliedByAShardThatIsAcquiredAfresh) {
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  Settle();
  ASSERT_THAT(bob->MessageIds(), IsEmpty());
  log_.on_append = [&](events::Topic topic) {
    if (topic != events::Topic::kMessages) return;
    log_.on_append = nullptr;
    throw std::runtime_error("half-way");
  };
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return !bob->MessageIds().empty(); }));
  EXPECT_FALSE(log_.on_append);
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("later"));
  EXPECT_EQ(Requests(*bob), 1u);
}

TEST_F(RecordOrderTest,
       ApplyingAMessageBehindASubscriptionFailsAgainAndAgain_ItIsConfirmed_AndItsSenderTold) {
  roster_.changes_held = true;
  const std::uint64_t before = alice->confirmed;
  gateway_.Send(*alice, Presence("subscribe", bob_));
  gateway_.Send(*alice, Message(bob_, "m1"));
  const auto said = alice->unconfirmed;
  Settle();
  ASSERT_EQ(alice->confirmed, alice->sent);
  int failures = 0;
  log_.on_user_record = [&](const events::v1::UserRecord& record) {
    if (record.delivery().stanza().id() != "m1" || record.delivery().stanza().type() == "error") return;
    ++failures;
    // The gateway has not heard that they are in the log.
    alice->confirmed = before;
    alice->unconfirmed = said;
    throw std::runtime_error("half-way");
  };
  roster_.changes_held = false;
  ASSERT_TRUE(RunUntil([&] { return failures >= 2; }));
  EXPECT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_MESSAGE, "error").empty(); }));
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  const auto errors = Only(alice->inbox, STANZA_KIND_MESSAGE, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].id(), "m1");
  EXPECT_THAT(errors[0].payload(), ::testing::HasSubstr("internal-server-error"));
  EXPECT_EQ(alice->confirmed, alice->sent);
  EXPECT_THAT(bob->MessageIds(), IsEmpty());
  EXPECT_EQ(failures, 2);
  gateway_.Send(*alice, Message(bob_, "m2"));
  Settle();
  EXPECT_EQ(alice->confirmed, alice->sent);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m2"));
}

TEST_F(RecordOrderTest, ApplyingAMessageFailsAgainAndAgain_ItsSenderIsTold) {
  int failures = 0;
  log_.on_append = [&](events::Topic topic) {
    if (topic != events::Topic::kMessages) return;
    ++failures;
    throw std::runtime_error("half-way");
  };
  gateway_.Send(*alice, Message(bob_, "m1"));
  ASSERT_TRUE(RunUntil([&] { return failures == 4; })) << "the copy of what she has sent fails, too";
  log_.on_append = nullptr;
  EXPECT_TRUE(RunUntil([&] { return !alice->inbox.empty(); }));
  const auto errors = Only(alice->inbox, STANZA_KIND_MESSAGE, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].id(), "m1");
  EXPECT_THAT(errors[0].payload(), ::testing::HasSubstr("internal-server-error"));
  EXPECT_THAT(bob->MessageIds(), IsEmpty());
  gateway_.Send(*alice, Message(bob_, "m2"));
  ASSERT_TRUE(RunUntil([&] { return !bob->MessageIds().empty(); }));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m2"));
}

TEST_F(RecordOrderTest, ManyRequestsWhileTheRosterIsAway_MessagesGoOn) {
  std::vector<Client*> askers;
  for (int i = 1; i <= 40; ++i) askers.push_back(&SignIn(gateway_, UserIn(0, i), "x"));
  // Accepted, and then bob's roster is away.
  log_.held = true;
  for (Client* asker : askers) gateway_.Send(*asker, Presence("subscribe", bob_));
  Settle();
  log_.Flush();  // their own shards have them
  Settle();
  roster_.down = true;
  log_.held = false;
  Settle();
  gateway_.Send(*eve, Message(bob_, "m"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m"));
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return Requests(*bob) == askers.size(); }));
}

TEST_F(RecordOrderTest, TooMuchWaitsBehindARequest_ItsSenderIsToldSo_AndOthersGoOn) {
  AskAndStick();
  SayMuch(*alice);
  gateway_.Send(*eve, Message(bob_, "hello"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("hello"));
  const auto errors = Only(alice->inbox, STANZA_KIND_MESSAGE, "error");
  ASSERT_GT(errors.size(), kMessages / 2);
  EXPECT_THAT(errors[0].payload(), HasSubstr("resource-constraint"));
  roster_.stuck.clear();
  EXPECT_TRUE(RunUntil([&] { return bob->MessageIds().size() + errors.size() == kMessages + 1; }));
}

TEST_F(RecordOrderTest, MuchIsReadAgain_NothingOfItIsRefused) {
  // One that cannot be finished holds the cursor; what comes after it is given and acknowledged.
  AskAndStick();
  SayMuch(*eve);
  ASSERT_EQ(bob->MessageIds().size(), kMessages);
  roster_.settings_held = true;
  Kill(1);
  for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 2);
  const int before = roster_.settings_gets;
  ASSERT_TRUE(RunUntil([&] { return roster_.settings_gets > before; }));
  Settle();
  roster_.settings_held = false;
  ASSERT_TRUE(RunUntil([&] { return IsLive(2) && IsLive(3); }));
  Settle();
  EXPECT_THAT(Only(eve->inbox, STANZA_KIND_MESSAGE, "error"), IsEmpty());
  EXPECT_EQ(bob->MessageIds().size(), kMessages);
  roster_.stuck.clear();
  EXPECT_TRUE(RequestArrives());
}

TEST_F(RecordOrderTest, TheOwnerDies_WhatWaitedIsGivenOnce) {
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  gateway_.Send(*eve, Message(bob_, "m1"));
  Settle();
  Move();
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return bob->MessageIds().size() == 2; }));
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "later"));
  EXPECT_EQ(Requests(*bob), 1u);
}

TEST_F(RecordOrderTest, TheOwnerDiesRightAfter_NothingIsGivenTwice) {
  gateway_.EnableStreamManagement(*bob);
  Settle();
  bob->acks = false;  // so that the next owner reads everything again
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  gateway_.Send(*eve, Message(bob_, "m1"));
  Settle();
  roster_.stuck.clear();
  ASSERT_TRUE(RequestArrives());
  Settle();
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1", "later"));
  // Only the last ones are acknowledged by now, or all, or none: bob's gateway knows.
  gateway_.Deliver(*bob, bob->last_seq - 1);
  Move();
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "later"));
  EXPECT_EQ(Requests(*bob), 1u);
}

TEST_F(RecordOrderTest, TheOwnerDiesTwice_BehindAnUnfinishedOne) {
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  gateway_.Send(*eve, Message(bob_, "m1"));
  Settle();
  Move();
  gateway_.Send(*eve, Message(bob_, "m2"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  AddNode();
  Kill(2);
  for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 3);
  ASSERT_TRUE(RunUntil([&] { return IsLive(2); }));
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return bob->MessageIds().size() == 3; }));
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "later"));
  EXPECT_EQ(Requests(*bob), 1u);
}

TEST_F(RecordOrderTest, TheOwnerDies_WhileWhatWaitedIsBehindOfflineMessages) {
  AskAndStick();
  gateway_.Send(*eve, Message(bob_, "m1"));
  gateway_.Send(*bob, Presence("unavailable"));
  Settle();
  gateway_.Send(*eve, Message(bob_, "stored"));
  Settle();
  const auto is_open = std::make_shared<bool>(false);
  database_.on_slow = [is_open](std::string_view call) -> Task<void> {
    while (call == "LoadOffline" && !*is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  gateway_.Send(*bob, Presence());
  Settle();
  roster_.stuck.clear();
  const User& user = *node(1).domain.shards().Find(2)->FindUser(bob_);
  ASSERT_TRUE(RunUntil([&] {
    return user.delivery && std::any_of(user.delivery->waiting.begin(), user.delivery->waiting.end(),
                                        [](const auto& entry) { return entry.second.session != nullptr; });
  }));
  EXPECT_EQ(Requests(*bob), 0u);  // not past the stored message
  Kill(1);
  *is_open = true;
  for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 2);
  ASSERT_TRUE(RequestArrives());
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "stored"));
  EXPECT_EQ(Requests(*bob), 1u);
}

// Only the session tells what an earlier owner gave to it.
TEST_F(RecordOrderTest, TheSessionEndsAtTheNextOwner_WhatItHadIsNotGivenAgain) {
  gateway_.Send(*eve, Message(bob_, "m1"));
  Settle();
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1"));
  roster_.settings_held = true;  // the record waits for them
  Move();
  Client& next = gateway_.Start(bob_, "next");
  Settle();
  ASSERT_TRUE(next.started);
  gateway_.Send(next, Presence());  // and with the roster they come
  Settle();
  gateway_.End(*bob, END_REASON_CLOSED);
  Settle();
  roster_.settings_held = false;
  ASSERT_TRUE(
      RunUntil([&] { return node(2).domain.shards().Find(2)->FindUser(bob_)->sessions.size() == 1; }));
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(next.MessageIds(), IsEmpty());
}

TEST_F(RecordOrderTest, TheSessionBeganWhileItWaited_NotGivenAgainByTheNextOwner) {
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  gateway_.End(*bob, END_REASON_CLOSED);
  Settle();
  Client& next = SignIn(gateway_, bob_, "next");
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return !next.MessageIds().empty(); }));
  Settle();
  Move();
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(next.MessageIds(), ElementsAre("later"));
}

TEST_F(RecordOrderTest, P5_TheSessionBecameAvailableWhileItWaited_NotGivenAgainByTheNextOwner) {
  gateway_.End(*bob, END_REASON_CLOSED);
  Client& next = SignIn(gateway_, bob_, "next", std::nullopt);
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  Settle();
  gateway_.Send(next, Presence());
  Settle();
  ASSERT_THAT(next.MessageIds(), IsEmpty());
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return !next.MessageIds().empty(); }));
  Settle();
  ASSERT_EQ(next.acked_seq, next.last_seq);
  Move();
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(next.MessageIds(), ElementsAre("later"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(RecordOrderTest, P5_AnotherSessionWasThereWhenItCame_OnlyThatOneIsGivenIt) {
  Client& next = SignIn(gateway_, bob_, "next", std::nullopt);
  bob->acks = false;  // so that the next owner reads it again
  AskAndStick();
  gateway_.Send(*alice, Message(bob_, "later"));
  Settle();
  gateway_.Send(next, Presence());
  Settle();
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return !bob->MessageIds().empty(); }));
  Settle();
  EXPECT_THAT(next.MessageIds(), IsEmpty());
  // Its gateway dies together with the owner: the other one is there for what it had not acknowledged.
  bob->forgotten = true;
  Move();
  ASSERT_TRUE(RunUntil([&] { return !next.MessageIds().empty(); }));
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(next.MessageIds(), ElementsAre("later"));
}

TEST_F(RecordOrderTest, TheSessionEndsAtTheNextOwner_BehindWhatCannotBeStored) {
  gateway_.Send(*alice, Presence("subscribe", bob_));
  gateway_.Send(*alice, Message(bob_, "later"));
  ASSERT_TRUE(RunUntil([&] { return !bob->MessageIds().empty(); }));
  roster_.stuck = alice_;
  Move();
  gateway_.End(*bob, END_REASON_CLOSED);
  Client& next = SignIn(gateway_, bob_, "next");
  roster_.stuck.clear();
  const auto is_over = [&] { return node(2).domain.shards().Find(2)->FindUser(bob_)->sessions.size() == 1; };
  ASSERT_TRUE(RunUntil(is_over));
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(next.MessageIds(), IsEmpty());
}

TEST_F(RecordOrderTest, MoreThanCanBeNamed_InStrictOrder_AndThenOn) {
  AskAndStick();
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < RecordOrder::kMaxEntries + 20; ++i) {
    expected.push_back("a" + std::to_string(i));
    gateway_.Send(*alice, Message(bob_, expected.back()));
  }
  Settle();
  gateway_.Send(*eve, Message(bob_, "m"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), IsEmpty());  // beyond the bound all wait
  expected.push_back("m");
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return bob->MessageIds().size() == expected.size(); }));
  EXPECT_EQ(bob->MessageIds(), expected);
  EXPECT_EQ(node(1).domain.shards().Find(2)->FindUser(bob_)->backlog, nullptr);
}

TEST_F(RecordOrderTest, ProbeToAUserWhoseContactsAreNotLoaded_HoldsOnlyItself) {
  roster_.Befriend(alice_, bob_);
  Elapse(std::chrono::seconds(1));
  Move();
  roster_.held = true;
  gateway_.Send(*alice, Presence("probe", bob_));
  gateway_.Send(*alice, Message(bob_, "m"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m"));
  roster_.held = false;
  EXPECT_TRUE(RunUntil([&] {
    return std::any_of(alice->inbox.begin(), alice->inbox.end(),
                       [&](const auto& stanza) { return stanza.from() == bob_ + "/b"; });
  }));
}

TEST_F(RecordOrderTest, ContactsAreLoadedOnceForAllThatNeedThem) {
  std::vector<Client*> probers{alice, eve};
  for (Client* prober : probers) roster_.Befriend(prober->user, bob_);
  Elapse(std::chrono::seconds(1));
  Move();
  roster_.held = true;
  const int before = roster_.gets;
  for (int i = 0; i < 5; ++i)
    for (Client* prober : probers) gateway_.Send(*prober, Presence("probe", bob_));
  Settle();
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] {
    return Only(alice->inbox, STANZA_KIND_PRESENCE, "").size() >= 5 &&
           Only(eve->inbox, STANZA_KIND_PRESENCE, "").size() >= 5;
  }));
  EXPECT_EQ(roster_.gets, before + 1);
}

TEST_F(RecordOrderTest, BecomingAvailable_HoldsBackNoMessages) {
  Client& desk = SignIn(gateway_, bob_, "desk", std::nullopt);
  roster_.held = true;
  gateway_.Send(desk, Presence());
  gateway_.Send(*eve, Message(bob_, "m"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m"));
  roster_.held = false;
  EXPECT_TRUE(RunUntil([&] { return desk.confirmed == desk.sent; }));
}

// ---- what one session sends -----------------------------------------------------

TEST_F(RecordOrderTest, AQuestionThatTakesItsTime_HoldsBackOnlyQuestionsToTheSame) {
  gateway_.Send(*alice, Message(bob_, "warm-up"));
  Settle();
  bob->inbox.clear();
  alice->inbox.clear();
  roster_.held = true;
  gateway_.Send(*alice, Iq("get", {}, "q1", "query", "jabber:iq:roster"));
  gateway_.Send(*alice, Message(bob_, "m"));
  gateway_.Send(*alice, Iq("get", alice_, "q2", "ping", "urn:xmpp:ping"));
  gateway_.Send(*alice, Iq("get", "localhost", "q3", "ping", "urn:xmpp:ping"));
  gateway_.Send(*alice, Presence({}, {}, 2));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m"));
  ASSERT_EQ(Only(alice->inbox, STANZA_KIND_IQ).size(), 1u);
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_IQ)[0].id(), "q3");
  // Confirmations stay in the order of the count.
  EXPECT_EQ(alice->confirmed, alice->sent - 5);
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  const auto answers = Only(alice->inbox, STANZA_KIND_IQ);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[1].id(), "q1");
  EXPECT_EQ(answers[2].id(), "q2");
}

TEST_F(RecordOrderTest, WhatFollowsInitialPresence_ComesAfterIt) {
  roster_.Befriend(alice_, bob_);
  Client& phone = SignIn(gateway_, alice_, "phone", std::nullopt);
  bob->inbox.clear();
  roster_.held = true;
  gateway_.Send(phone, Presence());
  gateway_.Send(phone, Message(bob_, "m"));
  gateway_.Send(phone, Iq("get", "localhost", "q", "ping", "urn:xmpp:ping"));
  Settle();
  EXPECT_THAT(bob->inbox, IsEmpty());
  EXPECT_EQ(Only(phone.inbox, STANZA_KIND_IQ).size(), 1u);
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return !bob->MessageIds().empty(); }));
  EXPECT_EQ(bob->inbox.front().from(), alice_ + "/phone");
  EXPECT_EQ(bob->inbox.front().kind(), STANZA_KIND_PRESENCE);
}

}  // namespace
}  // namespace rookery::session_manager
