// The owner of a shard and the gateway of a session die together, and what the store says of the session is
// old (README.md, SL5 and SL13).
#include "owner_death.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// bob's client has resumed at `third_`, and the store, which is away, has the session of before.
class OutdatedSession : public OwnerDeathTest {
 protected:
  OutdatedSession() : third_(AddGateway("gw-3")) {
    bob = &SignIn(other_, bob_, "b");
    other_.EnableStreamManagement(*bob);
    Settle();
  }
  void LoseConnection() {
    other_.End(*bob, END_REASON_CONNECTION_LOST);
    Settle();
    Elapse(std::chrono::seconds(1));
    ASSERT_TRUE(bob->parked);
    ASSERT_EQ(database_.parked.size(), 1u);
  }
  void KeepTheRow() {
    database_.on_call = [&](std::string_view call) { database_.down |= call == "Unpark"; };
  }
  /// The session's gateway and the owner of its shard.
  void KillBoth(Client& client) {
    client.forgotten = true;
    database_.on_call = {};
    Move();
  }
  /// `other_` reaches the new owner when the shard is live.
  void KillBothBeforeTheOtherComes(Client& client) {
    other_.attaches = false;
    for (auto& node : nodes_) node->settings.attach_timeout = std::chrono::milliseconds(100);
    client.forgotten = true;
    Kill(1);
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] {
      clock_.Advance(std::chrono::milliseconds(50));
      return IsLive(1);
    }));
    Elapse(std::chrono::milliseconds(500));  // it has read what the last owner has listed
    other_.attaches = true;
    other_.Relink(node(2));
    Settle();
  }
  static std::uint32_t HandledBy(const Client& client) {
    return static_cast<std::uint32_t>(client.last_seq - client.base_seq);
  }
  void ExpectRefused(Client& client) {
    Client& again = other_.Resume(client, HandledBy(client));
    Settle();
    Elapse(std::chrono::seconds(1));
    EXPECT_FALSE(again.started);
    ASSERT_EQ(again.resume_answers.size(), 1u);
    EXPECT_EQ(again.resume_answers[0].failure().condition(), "item-not-found");
  }
  Gateway& third_;
  Client* bob = nullptr;
};

TEST_F(OutdatedSession, SL5_ItsNewGatewayHasNotHeardOfIt_TheRowIsStillTheSession) {
  LoseConnection();
  node(1).frozen = true;
  Client& unheard = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  Elapse(std::chrono::seconds(2));
  ASSERT_FALSE(unheard.started);
  node(1).frozen = false;
  KillBoth(unheard);
  Say("m1", bob_);
  Client& again = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_TRUE(again.started);
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
}

TEST_F(OutdatedSession, SL5_ItsNewGatewayHasNotHeardOfIt_TheOneThatItLeftStillHasIt) {
  node(1).frozen = true;
  Client& unheard = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  Elapse(std::chrono::seconds(2));
  ASSERT_FALSE(unheard.started);
  node(1).frozen = false;
  KillBoth(unheard);
  EXPECT_FALSE(bob->ended);
  Client& again = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_TRUE(again.started);
}

TEST_F(OutdatedSession, SL5_ItsNewGatewayHasHeardOfIt_TheLogSaysSoAndTheRowGoes) {
  LoseConnection();
  node(1).settings.resume_hand_over = std::chrono::hours(1);
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  third_.Send(resumed, Message(alice_, "b1"));
  EXPECT_TRUE(RunUntil([&] { return resumed.confirmed == resumed.sent; }));
  EXPECT_TRUE(database_.parked.empty());
}

/// The client has left again before the log says that it is back: its row waits for that.
class LeftAgain : public OutdatedSession {
 protected:
  void LeaveAgain() {
    log_.held = true;
    bool is_open = false;
    database_.on_slow = [&is_open](std::string_view call) -> Task<void> {
      while (call == "Park" && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
    };
    Client& resumed = third_.Resume(*bob, HandledBy(*bob));
    Settle();
    ASSERT_TRUE(resumed.started);
    left_again = &resumed;
    third_.End(resumed, END_REASON_CONNECTION_LOST);
    Settle();
    is_open = true;
    Settle();
    ASSERT_FALSE(resumed.parked) << "its row would be taken for older than the record";
    database_.on_slow = {};
    log_.held = false;
    ASSERT_TRUE(RunUntil([&] { return resumed.parked; }));
    Settle();
    // The old gateway does not know yet.
    Say("m1", bob_);
  }
  std::int64_t Unfinished() {
    const Shard& shard = *node(1).domain.shards().Find(1);
    return shard.window.next_offset() - shard.window.cursor();
  }
  Client* left_again = nullptr;
};

TEST_F(LeftAgain, SL13_WhenTheOldGatewayIsTold_TheRecordIsFinished) {
  node(1).settings.resume_hand_over = std::chrono::milliseconds(500);
  LeaveAgain();
  EXPECT_TRUE(RunUntil([&] {
    Elapse(std::chrono::milliseconds(500));
    return Unfinished() == 0;
  }));
  EXPECT_EQ(database_.parked.size(), 1u);
}

TEST_F(LeftAgain, SL13_ItsRowIsNewerThanTheRecord_TheNextOwnerGoesOnWithIt) {
  node(1).settings.resume_hand_over = std::chrono::hours(1);
  LeaveAgain();
  Move();
  Client& again = third_.Resume(*left_again, HandledBy(*left_again));
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_TRUE(again.started);
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
}

TEST_F(LeftAgain, SL13_TheSessionEnds_NothingWaitsForItself) {
  node(1).settings.resume_hand_over = std::chrono::hours(1);
  LeaveAgain();
  Elapse(settings_.resume_timeout + std::chrono::seconds(5));
  EXPECT_TRUE(RunUntil([&] { return Unfinished() == 0 && database_.parked.empty(); }));
}

TEST_F(OutdatedSession, SL13_WhatItsClientCountsIsNotTakenForWhatItHasNotHad) {
  LoseConnection();
  KeepTheRow();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_TRUE(resumed.started);
  Say("m1", bob_);
  ASSERT_THAT(resumed.MessageIds(), ElementsAre("m1"));
  Elapse(std::chrono::seconds(1));
  KillBoth(resumed);
  Say("m2", bob_);
  ExpectRefused(resumed);
  // And m1 perhaps: all who knew that its client had it are dead.
  EXPECT_THAT(NextSession(), ::testing::Contains("m2"));
}

TEST_F(OutdatedSession, SL13_NobodyCouldSaySo_HTellsThatItIsOutdated) {
  LoseConnection();
  log_.held = true;
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_TRUE(resumed.started);
  // Answered at once, and nothing of it is in the log.
  third_.Send(resumed, Iq("get", "localhost", "v", "query", "jabber:iq:version"));
  Settle();
  ASSERT_EQ(Only(resumed.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  ASSERT_EQ(HandledBy(resumed), HandledBy(*bob) + 1);
  log_.held = false;
  KillBoth(resumed);
  Say("m1", bob_);
  ExpectRefused(resumed);
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

TEST_F(OutdatedSession, SL13_WhatItsClientHasSentIsNotCountedAgain) {
  LoseConnection();
  KeepTheRow();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  third_.Send(resumed, Message(alice_, "b1"));
  Settle();
  ASSERT_EQ(resumed.confirmed, resumed.sent);
  KillBoth(resumed);
  ExpectRefused(resumed);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1"));
}

TEST_F(OutdatedSession, SL13_WhatItHadBeenSentAndHasNotIsGivenToTheNext) {
  LoseConnection();
  node(1).settings.resume_hand_over = std::chrono::hours(1);
  for (const char* id : {"m1", "m2"}) Say(id, bob_);
  Elapse(settings_.window_time + std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 2u);
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  resumed.acks = false;
  Settle();
  ASSERT_THAT(resumed.MessageIds(), ElementsAre("m1", "m2"));
  third_.Deliver(resumed, resumed.last_seq - 1);
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 1u);
  KillBoth(resumed);
  ExpectRefused(resumed);
  EXPECT_THAT(NextSession(), ElementsAre("m2"));
}

TEST_F(OutdatedSession, SL13_TheLogDoesNotTakeIt_NothingIsConfirmedBefore) {
  LoseConnection();
  KeepTheRow();
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_session_back() ? absl::InternalError("refused") : absl::OkStatus();
  };
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  const std::uint64_t before = resumed.confirmed;
  third_.Send(resumed, Message(alice_, "b1"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1"));
  EXPECT_EQ(resumed.confirmed, before);
  log_.refuse = {};
  EXPECT_TRUE(RunUntil([&] { return resumed.confirmed == resumed.sent; }));
}

TEST_F(OutdatedSession, SL13_IsToldTogetherWithOthers_NothingIsConfirmedBefore) {
  LoseConnection();
  KeepTheRow();
  node(1).settings.tell_back_together = std::chrono::hours(1);
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_TRUE(resumed.started);
  const std::uint64_t before = resumed.confirmed;
  third_.Send(resumed, Message(alice_, "b1"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1"));
  EXPECT_EQ(resumed.confirmed, before);
  for (const auto& record : log_.Records(1)) EXPECT_FALSE(record.has_session_back());
}

TEST_F(OutdatedSession, SL13_TheLinkWasLostAndCameBack_TheRowOfMeanwhileIsOutdated) {
  other_.Unlink(node(1));
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.parked.size(), 1u);
  KeepTheRow();
  other_.Link(node(1));
  Settle();
  other_.Send(*bob, Message(alice_, "b1"));
  Settle();
  ASSERT_EQ(bob->confirmed, bob->sent);
  KillBoth(*bob);
  Say("m1", bob_);
  Client& again = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_FALSE(again.started);
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

/// Stanzas that bob's client sent before it was gone reach the owner while the session's row is being
/// written.
class SentBefore : public OutdatedSession {
 protected:
  SentBefore() {
    database_.on_slow = [this](std::string_view call) -> Task<void> {
      while (call == "Park" && !is_written) co_await runtime::Sleep(std::chrono::milliseconds(1));
    };
    other_.Unlink(node(1));
    Settle();
    other_.Send(*bob, Message(alice_, "b1"));
    other_.End(*bob, END_REASON_CONNECTION_LOST);
    other_.Link(node(1));
    Settle();
  }
  bool is_written = false;
};

TEST_F(SentBefore, SL4_TheRowSaysSo) {
  is_written = true;
  ASSERT_TRUE(RunUntil([&] { return bob->parked; }));
  // Nothing but the row knows of what follows.
  node(1).settings.tell_back_together = std::chrono::hours(1);
  directory_.down = true;
  KeepTheRow();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  ASSERT_EQ(resumed.resume_answers[0].inbound_count(), bob->sent);
  KillBoth(resumed);
  Client& again = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_TRUE(again.started);
  EXPECT_EQ(again.resume_answers[0].inbound_count(), bob->sent) << "acknowledged is acknowledged";
}

TEST_F(SentBefore, SL5_UntilTheLogSaysThatTheRowIsOutdated_NobodyIsTold) {
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_session_back() ? absl::InternalError("refused") : absl::OkStatus();
  };
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  EXPECT_TRUE(resumed.resume_answers.empty());
  EXPECT_LT(bob->confirmed, bob->sent);
  log_.refuse = {};
  EXPECT_TRUE(RunUntil([&] { return resumed.started; }));
  EXPECT_EQ(resumed.resume_answers[0].inbound_count(), bob->sent);
}

TEST_F(SentBefore, SL5_TheStoreStaysAway_TheLogSaysThatTheRowIsOutdated) {
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  ASSERT_TRUE(RunUntil([&] { return resumed.started; }));
  EXPECT_EQ(resumed.resume_answers[0].inbound_count(), bob->sent);
}

TEST_F(OutdatedSession, SL5_ItsNewGatewayIsHeardOnlyWhenItIsParkedAgain_ItsClientComesBack) {
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  third_.is_mute = true;
  Settle();
  ASSERT_TRUE(resumed.started);
  third_.Unlink(node(1));
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.parked.size(), 1u);
  third_.End(resumed, END_REASON_CONNECTION_LOST);
  third_.is_mute = false;
  third_.Link(node(1));
  Settle();
  ASSERT_TRUE(resumed.parked);
  Client& again = other_.Resume(resumed, HandledBy(resumed));
  EXPECT_TRUE(RunUntil([&] { return again.started; }));
}

TEST_F(OutdatedSession, SL13_NobodyKnowsWhatOfItsClientHasArrived_NoCountIsTold) {
  LoseConnection();
  KeepTheRow();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  third_.Send(resumed, Message(alice_, "b1"));
  Settle();
  ASSERT_EQ(resumed.confirmed, resumed.sent);
  KillBoth(resumed);
  ExpectRefused(resumed);
  // The first answer may have been lost.
  Client& second = third_.Resume(resumed, HandledBy(resumed));
  Settle();
  ASSERT_EQ(second.resume_answers.size(), 1u);
  EXPECT_FALSE(second.resume_answers[0].has_ended_count());
  Kill(2);
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Client& third = third_.Resume(resumed, HandledBy(resumed));
  Settle();
  ASSERT_EQ(third.resume_answers.size(), 1u);
  EXPECT_FALSE(third.resume_answers[0].has_ended_count()) << "the record says so";
}

TEST_F(OutdatedSession, SL13_WhatItWasNeverSentIsNotTakenForHandled_HoweverManyOwners) {
  other_.Send(*bob, Presence({}, alice_ + "/a"));
  Settle();
  LoseConnection();
  KeepTheRow();
  log_.held = directory_.down = true;
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  third_.Send(resumed, Iq("get", "localhost", "v", "query", "jabber:iq:version"));
  Settle();
  ASSERT_EQ(HandledBy(resumed), HandledBy(*bob) + 1);
  log_.held = false;
  KillBoth(resumed);
  directory_.down = false;
  Say("m1", bob_);  // has the number of the answer now
  Client& desk = SignIn(other_, bob_, "desk");
  other_.Send(desk, Block(alice_));  // the session's state changes, and its row is written again
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.parked.size(), 1u);
  ASSERT_GT(database_.parked.begin()->second.session.attach.unacked_size(), 0);
  other_.End(desk, session::v1::END_REASON_CLOSED);
  Elapse(std::chrono::seconds(1));
  Kill(2);
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  ExpectRefused(resumed);
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

TEST_F(OutdatedSession, SL13_TheGatewayThatItLeftKnowsAsLittle) {
  node(1).settings.resume_hand_over = std::chrono::hours(1);
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_TRUE(resumed.started);
  third_.Send(resumed, Message(alice_, "b1"));
  Settle();
  ASSERT_EQ(resumed.confirmed, resumed.sent);
  ASSERT_FALSE(bob->ended);
  KillBoth(resumed);
  ExpectRefused(resumed);
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
}

/// Its client resumes elsewhere while its gateway is cut off, and nobody tells that one.
class CutOffGateway : public OutdatedSession, public ::testing::WithParamInterface<bool> {
 protected:
  void ResumeElsewhere() {
    other_.Unlink(node(1));
    Settle();
    Elapse(std::chrono::seconds(1));
    ASSERT_EQ(database_.parked.size(), 1u);
    node(1).settings.tell_back_together = std::chrono::milliseconds(50);
    resumed = &third_.Resume(*bob, HandledBy(*bob));
    Settle();
    third_.Send(*resumed, Message(alice_, "b1"));
    ASSERT_TRUE(RunUntil([&] { return resumed->confirmed == resumed->sent && database_.parked.empty(); }));
    if (GetParam()) node(1).owner.CommitCursors();
    Settle();
    ASSERT_FALSE(bob->ended);
  }
  void ExpectOver() {
    ExpectRefused(*resumed);
    EXPECT_THAT(alice->MessageIds(), ElementsAre("b1"));
    ASSERT_TRUE(bob->ended);
    EXPECT_EQ(bob->ended->condition(), "reset");
  }
  Client* resumed = nullptr;
};

TEST_P(CutOffGateway, SL13_ItKnowsAsLittle) {
  ResumeElsewhere();
  directory_.shards.clear();
  KillBoth(*resumed);
  ExpectOver();
}

TEST_P(CutOffGateway, SL13_ItKnowsAsLittle_ItComesLate) {
  ResumeElsewhere();
  directory_.shards.clear();
  KillBothBeforeTheOtherComes(*resumed);
  ExpectOver();
}
INSTANTIATE_TEST_SUITE_P(All, CutOffGateway, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Finished" : "Unfinished"; });

TEST_F(OutdatedSession, SL13_TheLogDoesNotSayThatItIsBack_TheDirectoryDoes) {
  other_.Unlink(node(1));
  Settle();
  Elapse(std::chrono::seconds(1));
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_session_back() ? absl::InternalError("refused") : absl::OkStatus();
  };
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  ASSERT_TRUE(resumed.started);
  Elapse(std::chrono::seconds(1));
  KillBothBeforeTheOtherComes(resumed);
  ExpectRefused(resumed);
}

TEST_F(OutdatedSession, SL13_TheGatewayThatItLeftWasOutOfReach_UntilTheRecordIsFinished) {
  other_.Unlink(node(1));
  Settle();
  ASSERT_TRUE(RunUntil([&] { return database_.parked.size() == 1; }));
  KeepTheRow();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(resumed.started);
  database_.on_call = {};
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return database_.parked.empty(); }));
  third_.Send(resumed, Message(alice_, "b1"));
  ASSERT_TRUE(RunUntil([&] { return resumed.confirmed == resumed.sent; }));
  Elapse(std::chrono::seconds(2));
  ASSERT_FALSE(bob->ended);
  KillBoth(resumed);
  ExpectRefused(resumed);
  EXPECT_TRUE(bob->ended);
}

TEST_F(OutdatedSession, SL13_ItsGatewayComesLate_ItIsTheSession) {
  other_.Unlink(node(1));
  Settle();
  Elapse(std::chrono::seconds(1));
  KeepTheRow();
  other_.Link(node(1));
  Settle();
  other_.Send(*bob, Message(alice_, "b1"));
  Say("m1", bob_);
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1"));
  other_.attaches = false;
  for (auto& node : nodes_) node->settings.attach_timeout = std::chrono::milliseconds(100);
  database_.on_call = {};
  Kill(1);
  database_.down = false;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] {
    clock_.Advance(std::chrono::milliseconds(50));
    return IsLive(1);
  }));
  Say("m2", bob_);
  other_.attaches = true;
  other_.Relink(node(2));
  Settle();
  ASSERT_FALSE(bob->ended);
  other_.Send(*bob, Message(alice_, "b2"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1", "b2"));
  EXPECT_EQ(bob->confirmed, bob->sent);
}

/// The gateway has had packets that the next owner, which has the session from the row, knows nothing of.
class NumberedWithoutIt : public OutdatedSession, public ::testing::WithParamInterface<bool> {};

TEST_P(NumberedWithoutIt, SL13_WhatIsStoredIsNotTakenForWhatTheGatewayHas) {
  other_.Unlink(node(1));
  Settle();
  Elapse(std::chrono::seconds(1));
  KeepTheRow();
  other_.Link(node(1));
  Settle();
  bob->acks = GetParam();
  other_.Send(*bob, Iq("get", {}, "r1", "query", "jabber:iq:roster"));
  Settle();
  ASSERT_EQ(Only(bob->inbox, STANZA_KIND_IQ, "result").size(), 1u);
  other_.attaches = false;
  for (auto& node : nodes_) node->settings.attach_timeout = std::chrono::milliseconds(100);
  database_.on_call = {};
  Kill(1);
  database_.down = false;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] {
    clock_.Advance(std::chrono::milliseconds(50));
    return IsLive(1);
  }));
  Say("m1", bob_);
  Say("m2", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 2u);
  node(2).owner.CommitCursors();
  Settle();
  other_.attaches = true;
  Kill(2);
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(Only(bob->inbox, STANZA_KIND_IQ, "result").size(), 1u);
  bob->acks = true;
  Say("m3", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "m3"));
  EXPECT_EQ(database_.Packets(bob_, bob->id), 0u);
}
INSTANTIATE_TEST_SUITE_P(All, NumberedWithoutIt, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Acknowledged" : "NotAcknowledged"; });

TEST_F(OutdatedSession, SL13_ItsGatewayLives_TheNextOwnerGoesOnWithIt) {
  LoseConnection();
  KeepTheRow();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  third_.Send(resumed, Message(alice_, "b1"));
  Say("m1", bob_);
  database_.on_call = {};
  Move();
  EXPECT_FALSE(resumed.ended);
  third_.Send(resumed, Message(alice_, "b2"));
  Say("m2", bob_);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1", "b2"));
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(resumed.confirmed, resumed.sent);
  EXPECT_THAT(database_.parked, IsEmpty());
}

TEST_F(OutdatedSession, SL13_AwayAgain_TheNewRowIsTheSession) {
  LoseConnection();
  Client& resumed = third_.Resume(*bob, HandledBy(*bob));
  Settle();
  third_.Send(resumed, Message(alice_, "b1"));
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  third_.End(resumed, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(resumed.parked);
  Move();
  Say("m2", bob_);
  Client& again = other_.Resume(resumed, HandledBy(resumed));
  again.inbox.clear();
  Settle();
  ASSERT_TRUE(again.started);
  EXPECT_EQ(again.confirmed, resumed.sent);
  EXPECT_THAT(again.MessageIds(), ElementsAre("m2"));
}

TEST_F(OutdatedSession, SL13_TheStoreIsBack_TheRecordIsFinished) {
  LoseConnection();
  KeepTheRow();
  third_.Resume(*bob, HandledBy(*bob));
  Settle();
  Elapse(std::chrono::seconds(2));
  const Shard& shard = *node(1).domain.shards().Find(1);
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset());
  database_.on_call = {};
  database_.down = false;
  EXPECT_TRUE(RunUntil([&] {
    Elapse(std::chrono::milliseconds(500));
    return shard.window.cursor() == shard.window.next_offset();
  }));
  EXPECT_THAT(database_.parked, IsEmpty());
}

}  // namespace
}  // namespace rookery::session_manager
