#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/accounts/credentials_version.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using session::v1::GatewayAction;
using ::testing::ElementsAre;

class SessionStartTest : public Cluster {
 protected:
  SessionStartTest() : Cluster(2), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
  }
  /// The version of the account's credentials.
  std::uint64_t SetPassword(const std::string& user) {
    AccountStore::Keys keys(1);
    keys[0].set_stored_key("secret");
    database_.accounts[user] = keys;
    return VersionOf(keys);
  }
  /// Until is_held_up_ is false.
  void HoldUpFirstLookUp() {
    is_held_up_ = true;
    database_.on_slow = [this](std::string_view call) -> Task<void> {
      if (call != "Find" || std::exchange(has_looked_up_, true)) co_return;
      while (is_held_up_) co_await runtime::Sleep(std::chrono::milliseconds(1));
    };
  }
  bool is_held_up_ = false;
  bool has_looked_up_ = false;
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_;
  std::string bob_;
};

TEST_F(SessionStartTest, SL1_AnswersWithTheFullJid) {
  Client& client = gateway_.Start(alice_, "phone");
  Settle();
  EXPECT_TRUE(client.started);
  EXPECT_EQ(client.jid, alice_ + "/phone");
}

TEST_F(SessionStartTest, MakesAResourceWhenNoneIsAskedFor) {
  Client& one = gateway_.Start(alice_, "");
  Client& two = gateway_.Start(alice_, "");
  Settle();
  EXPECT_GT(one.jid.size(), alice_.size() + 8);
  EXPECT_NE(one.jid, two.jid);
}

TEST_F(SessionStartTest, SL2_SameResource_TheNewerWins) {
  Client& old = SignIn(gateway_, alice_, "phone");
  Client& fresh = other_.Start(alice_, "phone");
  Settle();
  EXPECT_TRUE(fresh.started);
  ASSERT_TRUE(old.ended);
  EXPECT_EQ(old.ended->condition(), "conflict");
  EXPECT_FALSE(fresh.ended);
  // The old one's gateway may still say so: nothing happens to the new one.
  gateway_.Send(old, Message(alice_, "late"));
  other_.Send(fresh, Presence());
  Settle();
  EXPECT_EQ(fresh.confirmed, 1u);
  EXPECT_EQ(node(0).domain.table().size(), 1u);
}

TEST_F(SessionStartTest, SL2_SameResource_TheOlderHasClosedInOrder_WhatItSentComesFirst) {
  Client& old = SignIn(gateway_, alice_, "phone");
  Client& bob = SignIn(other_, bob_, "desk");
  // A roster request keeps the session busy; the message waits behind it.
  roster_.held = true;
  gateway_.Send(old, Iq("get", {}, "r", "query", "jabber:iq:roster"));
  gateway_.Send(old, Message(bob_, "m1"));
  gateway_.End(old, session::v1::END_REASON_CLOSED);
  Client& fresh = other_.Start(alice_, "phone");
  Settle();
  EXPECT_FALSE(fresh.started);
  roster_.held = false;
  EXPECT_TRUE(RunUntil([&] { return fresh.started; }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(old.confirmed, old.sent);
}

TEST_F(SessionStartTest, SL15_AStartThatIsHeldUp_DoesNotEndTheOneThatCameAfterIt) {
  const std::uint64_t version = SetPassword(alice_);
  HoldUpFirstLookUp();
  Client& older = gateway_.Start(alice_, "phone", {}, {0, version});
  Settle();
  Client& newer = other_.Start(alice_, "phone", {}, {0, version});
  Settle();
  EXPECT_TRUE(newer.started);
  EXPECT_FALSE(older.started || older.start_failure);
  is_held_up_ = false;
  ASSERT_TRUE(RunUntil([&] { return older.start_failure.has_value(); }));
  EXPECT_EQ(older.start_failure->condition(), "conflict");
  EXPECT_FALSE(newer.ended);
}

TEST_F(SessionStartTest, SL15_AStartThatIsHeldUp_TheOwnerIsSuspendedWhenItGoesOn) {
  const std::uint64_t version = SetPassword(alice_);
  HoldUpFirstLookUp();
  Client& older = gateway_.Start(alice_, "phone", {}, {0, version});
  Settle();
  node(0).shard_log.member = false;
  clock_.Advance(std::chrono::seconds(15));
  Client& newer = other_.Start(alice_, "phone", {}, {0, version});
  const Shard& shard = *node(0).domain.shards().Find(0);
  ASSERT_EQ(shard.waiting.size(), 1u);
  is_held_up_ = false;
  ASSERT_TRUE(RunUntil([&] { return shard.waiting.size() == 2; }));
  node(0).shard_log.member = true;
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(RunUntil([&] { return newer.started && (older.ended || older.start_failure); }));
  EXPECT_FALSE(newer.ended);
}

TEST_F(SessionStartTest, SL15_AnAttemptToResumeThatIsHeldUp_DoesNotTakeTheSessionFromTheOneAfterIt) {
  const std::uint64_t version = SetPassword(alice_);
  Client& client = SignIn(gateway_, alice_, "phone");
  gateway_.EnableStreamManagement(client);
  gateway_.End(client, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  HoldUpFirstLookUp();
  Client& older = gateway_.Resume(client, 0, {}, {0, version});
  Settle();
  Client& newer = other_.Resume(client, 0, {}, {0, version});
  Settle();
  EXPECT_TRUE(newer.started);
  is_held_up_ = false;
  ASSERT_TRUE(RunUntil([&] { return !older.resume_answers.empty(); }));
  EXPECT_TRUE(older.resume_answers[0].has_failure());
  EXPECT_FALSE(newer.ended);
  other_.Send(newer, Message(alice_, "m1"));
  Settle();
  EXPECT_EQ(newer.confirmed, newer.sent);
}

TEST_F(SessionStartTest, AnswerLost_SentAgain_SameSession) {
  Client& client = gateway_.Start(alice_, "phone");
  Settle();
  GatewayAction again;
  again.set_session_id(client.id);
  again.mutable_start()->set_user(alice_);
  again.mutable_start()->set_resource("phone");
  gateway_.Post(alice_, again);
  Settle();
  EXPECT_FALSE(client.ended);
  EXPECT_EQ(node(0).domain.table().size(), 1u);
}

TEST_F(SessionStartTest, AnotherUsersIdIsNotTaken) {
  Client& victim = SignIn(gateway_, alice_, "phone");
  const std::string same_shard = UserIn(0, 1);
  Client& thief = other_.Start(same_shard, "x", victim.id);
  Settle();
  EXPECT_FALSE(thief.started);
  EXPECT_TRUE(thief.start_failure);
  gateway_.Send(victim, Presence());
  Settle();
  EXPECT_EQ(victim.confirmed, 2u);
}

TEST_F(SessionStartTest, TooManySessions) {
  for (std::int64_t i = 0; i < settings_.max_sessions_per_user; ++i)
    gateway_.Start(alice_, "r" + std::to_string(i));
  Client& extra = gateway_.Start(alice_, "extra");
  Settle();
  ASSERT_TRUE(extra.start_failure);
  EXPECT_EQ(extra.start_failure->condition(), "resource-constraint");
}

TEST_F(SessionStartTest, TooManySessions_TheSameResourceStillReplaces) {
  for (std::int64_t i = 0; i < settings_.max_sessions_per_user; ++i)
    gateway_.Start(alice_, "r" + std::to_string(i));
  Client& again = gateway_.Start(alice_, "r0");
  Settle();
  EXPECT_TRUE(again.started);
}

TEST_F(SessionStartTest, MessageCrossesShardsAndTheConfirmComesBack) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  Client& bob = SignIn(other_, bob_, "desk");
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(bob.inbox[0].from(), alice_ + "/phone");
  EXPECT_EQ(alice.confirmed, 2u);
  EXPECT_TRUE(alice.inbox.empty());
}

TEST_F(SessionStartTest, NobodySpeaksAsAnother) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  Client& bob = SignIn(other_, bob_, "desk");
  alice.jid = "eve@localhost/x";  // what a faulty gateway would stamp
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_EQ(bob.inbox.size(), 1u);
  EXPECT_EQ(bob.inbox[0].from(), alice_ + "/phone");
}

TEST_F(SessionStartTest, SL1_ConfirmOnlyWhenTheLogHasTheRecord) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  log_.held = true;
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  EXPECT_EQ(alice.confirmed, 1u);
  log_.Flush(1);  // the record for bob, not yet the one for the sender's own history
  Settle();
  EXPECT_EQ(alice.confirmed, 1u);
  log_.Flush(1);
  Settle();
  EXPECT_EQ(alice.confirmed, 2u);
  log_.Flush();
  Settle();
  EXPECT_EQ(alice.confirmed, 3u);
}

TEST_F(SessionStartTest, SL1_ConfirmsAreInOrder) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  log_.held = true;
  for (int i = 0; i < 20; ++i) gateway_.Send(alice, Message(i % 2 ? bob_ : alice_, "m" + std::to_string(i)));
  while (!log_.in_flight.empty()) {
    log_.Flush(1);
    Settle();
  }
  EXPECT_TRUE(std::is_sorted(alice.confirms.begin(), alice.confirms.end()));
  EXPECT_EQ(alice.confirmed, 21u);
}

TEST_F(SessionStartTest, AnOldCountIsConfirmedAgainAndNotAppended) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  Client& bob = SignIn(other_, bob_, "desk");
  gateway_.Send(alice, Message(bob_, "m1"));
  const session::v1::ClientStanza stanza = alice.unconfirmed.back();
  Settle();
  const std::size_t records = log_.users[2].size();
  const std::size_t confirms = alice.confirms.size();
  alice.unconfirmed.push_back(stanza);
  gateway_.Resend(alice, stanza.count());
  Settle();
  EXPECT_EQ(log_.users[2].size(), records);
  EXPECT_EQ(alice.confirms.size(), confirms + 1);
  EXPECT_EQ(alice.confirms.back(), 2u);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
}

TEST_F(SessionStartTest, AGapInTheCountEndsTheStream) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  ++alice.sent;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_TRUE(alice.ended);
  EXPECT_EQ(alice.ended->condition(), "internal-server-error");
}

TEST_F(SessionStartTest, OrderIsKeptBehindAStanzaThatNeedsABackend) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  Client& bob = SignIn(other_, bob_, "desk");
  // The subscription takes a turn of alice; the message after it waits.
  gateway_.Send(alice, Presence("subscribe", bob_));
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  ASSERT_EQ(bob.inbox.size(), 3u);
  EXPECT_EQ(bob.inbox[0].type(), "subscribe");
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(alice.confirmed, 4u);
}

TEST_F(SessionStartTest, BadAddressesAreToldAndConfirmed) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  gateway_.Send(alice, Message("\x7f", "m1"), /*to_malformed=*/true);
  gateway_.Send(alice, Message("x@elsewhere.example", "m2"));
  gateway_.Send(alice, Message("room@search.localhost", "m3"));
  gateway_.Send(alice, Message("localhost", "m4"));
  gateway_.Send(alice, Message("x@elsewhere.example", "m5", "error"));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 4u);
  EXPECT_THAT(alice.inbox[0].payload(), ::testing::HasSubstr("jid-malformed"));
  EXPECT_THAT(alice.inbox[1].payload(), ::testing::HasSubstr("remote-server-not-found"));
  EXPECT_THAT(alice.inbox[2].payload(), ::testing::HasSubstr("service-unavailable"));
  EXPECT_THAT(alice.inbox[3].payload(), ::testing::HasSubstr("service-unavailable"));
  EXPECT_EQ(alice.confirmed, 6u);
}

TEST_F(SessionStartTest, WhatTheGatewayRefusesIsToldCountedAndGoesToNobody) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  Client& bob = SignIn(other_, bob_, "desk");
  gateway_.Send(alice, Message(bob_, "m1"), /*to_malformed=*/true, "policy-violation");
  gateway_.Send(alice, Message(bob_, "m2"), /*to_malformed=*/true, "bad-request");
  gateway_.Send(alice, Message(bob_, "m3", "error"), /*to_malformed=*/true, "bad-request");
  Settle();
  ASSERT_EQ(alice.inbox.size(), 2u);
  EXPECT_EQ(alice.inbox[0].id(), "m1");
  EXPECT_EQ(alice.inbox[0].from(), bob_);
  EXPECT_THAT(alice.inbox[0].payload(), ::testing::HasSubstr("type=\"modify\"><policy-violation"));
  EXPECT_THAT(alice.inbox[1].payload(), ::testing::HasSubstr("bad-request"));
  EXPECT_TRUE(bob.inbox.empty());
  EXPECT_EQ(alice.confirmed, 4u);
}

TEST_F(SessionStartTest, UnknownSession_EndIsNotAnswered) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  ASSERT_TRUE(alice.ended);
  alice.forgotten = false;
  alice.ended.reset();
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  // The shard may have just moved: what we do not know is not over for that.
  EXPECT_FALSE(alice.ended);
}

TEST_F(SessionStartTest, NotTheOwner_Said) {
  GatewayAction start;
  start.set_session_id(std::string(16, 's'));
  start.mutable_start()->set_user(bob_);
  gateway_.Post(alice_, start);  // alice's owner does not own bob's shard
  Settle();
  ASSERT_EQ(gateway_.others.size(), 1u);
  EXPECT_TRUE(gateway_.others[0].started().failure().not_owner());
}

TEST_F(SessionStartTest, WhatNamesNoSessionIsPassedOver) {
  for (const std::string& id : {std::string("short"), std::string(17, 'x')})
    other_.Start(alice_, "phone", id);
  Settle();
  EXPECT_EQ(node(0).domain.table().size(), 0u);
  EXPECT_TRUE(other_.clients.back()->jid.empty());
}

TEST_F(SessionStartTest, ForeignGatewayCannotUseASession) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  GatewayAction stanza;
  stanza.set_session_id(alice.id);
  stanza.mutable_stanza()->set_count(2);
  *stanza.mutable_stanza()->mutable_stanza() = Message(bob_, "forged");
  other_.Post(alice_, stanza);
  Settle();
  EXPECT_EQ(node(0).domain.table().Find(SessionId(alice.id))->inbound.received(), 1u);
}

}  // namespace
}  // namespace rookery::session_manager
