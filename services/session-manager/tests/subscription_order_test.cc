// Which way a stanza takes whose sender has a subscription under way (README.md, O4).
#include "subscriptions.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using ::testing::ElementsAre;

/// bob has asked alice for a subscription. The owner of her shard is to do that again, and the roster takes
/// its time; what she says next is sent again meanwhile.
class SentAgainTest : public KilledInBetweenTest {
 protected:
  void Subscribe(Client& bob) {
    node(1).shard_log.member = false;  // nothing is committed any more
    gateway_.Send(bob, Presence("subscribe", alice_));
    Settle();
  }
  void Move(bool lose) {
    Kill(1, lose);
    log_.held = false;
    log_.held_partitions.clear();
    roster_.changes_held = true;
    for (const std::uint32_t shard : {0u, 1u, 2u, 3u})
      if (owners_[shard] == 1) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    Settle();
    roster_.changes_held = false;
  }
  /// Behind all that was said before.
  void SayLast(Client& from, Client& to) {
    gateway_.Send(from, Message(alice_, "last"));
    EXPECT_TRUE(RunUntil([&] {
      const std::vector<std::string> ids = to.MessageIds();
      return from.confirmed == from.sent && !ids.empty() && ids.back() == "last";
    }));
  }
};

TEST_F(SentAgainTest, O4_TheRecipientsLogHasNotGotIt_OnesOwnHas_Delivered) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  Subscribe(bob);
  log_.held_partitions.insert(0);  // alice's
  gateway_.Send(bob, Message(alice_, "m1"));
  Settle();
  Move(/*lose=*/true);
  SayLast(bob, alice);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1", "last"));
}

TEST_F(SentAgainTest, O4_TheRecipientsLogHasIt_DeliveredOnce) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  Subscribe(bob);
  log_.held = true;
  xmpp::Stanza typing = Message(alice_, "m1");
  xmpp::SetPayload(typing, xmpp::Element("composing", "http://jabber.org/protocol/chatstates"));
  gateway_.Send(bob, typing);
  Settle();
  Move(/*lose=*/false);
  SayLast(bob, alice);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1", "last"));
}

TEST_F(SentAgainTest, O4_ItWentBehindTheSubscriptionThroughTheLog_DeliveredOnce) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  roster_.changes_held = true;
  Subscribe(bob);
  log_.held = true;
  gateway_.Send(bob, Message(alice_, "m1"));
  Settle();
  Move(/*lose=*/false);
  SayLast(bob, alice);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1", "last"));
}

/// bob's message went into his log behind the subscription, and comes there behind the fence of the next
/// owner, to whom it is sent again. Nothing reaches alice's shard meanwhile.
class LateOutboundTest : public SentAgainTest {
 protected:
  LateOutboundTest() : bob(SignIn(gateway_, bob_, "b")), alice(SignIn(gateway_, alice_, "a")) {
    roster_.changes_held = true;
    Subscribe(bob);
    log_.held = true;
    gateway_.Send(bob, Message(alice_, "m1"));
    Settle();
    std::deque<FakeLog::Pending> late;
    late.swap(log_.in_flight);
    EXPECT_EQ(late.size(), 1u);
    late.front().appended = {};
    Kill(1);
    log_.held = false;
    log_.held_partitions = {0};
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(2) && IsLive(3); }));
    roster_.changes_held = false;
    Settle();
    log_.in_flight.push_back(std::move(late.front()));
    Settle();
    EXPECT_LT(bob.confirmed, bob.sent);
  }
  Client& bob;
  Client& alice;
};

TEST_F(LateOutboundTest, O4_SaidAgainAlready_DeliveredOnce) {
  log_.held_partitions.clear();
  SayLast(bob, alice);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1", "last"));
}

TEST_F(LateOutboundTest, O4_WhatWasSaidAgainIsLost_ALaterOwnerDoesNotTakeItForSaid) {
  Node& next = AddNode();
  Kill(0);
  log_.held_partitions.clear();
  for (const std::uint32_t shard : {0u, 1u, 2u, 3u}) Assign(shard, next.number);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
  Settle();
  SayLast(bob, alice);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1", "last"));
}

/// Bob's stanzas go into his log, and come there behind the fence of the next owner, to whom they are sent
/// again.
class CameLateTest : public SentAgainTest {
 protected:
  void SayLate(Client& from, const std::vector<xmpp::Stanza>& stanzas) {
    node(1).shard_log.member = false;
    log_.held = true;
    for (const xmpp::Stanza& stanza : stanzas) gateway_.Send(from, stanza);
    Settle();
    std::deque<FakeLog::Pending> late;
    late.swap(log_.in_flight);
    ASSERT_GE(late.size(), stanzas.size());
    for (FakeLog::Pending& record : late) record.appended = {};
    Kill(1);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 0);
    ASSERT_TRUE(RunUntil([&] { return log_.in_flight.size() == 2; }));  // the fences
    for (FakeLog::Pending& record : late) log_.in_flight.push_back(std::move(record));
    log_.held = false;
    ASSERT_TRUE(RunUntil([&] { return IsLive(2) && IsLive(3); }));
    EXPECT_TRUE(RunUntil([&] { return from.confirmed == from.sent; }));
  }
};

TEST_F(CameLateTest, O4_ARequestThatCameBehindTheNextOwnersFence_SentAgainThroughTheLog_IsMade) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  SayLate(bob, {Presence("subscribe", alice_)});
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
}

TEST_F(CameLateTest, O4_AMessageToOneselfCameLateBehindIt_TheRequestIsMadeAllTheSame) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  SayLate(bob, {Presence("subscribe", alice_), Message(bob_, "m1")});
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
}

TEST_F(CameLateTest, O4_AMessageBehindAChange_AnotherCameLateBehindIt_BothAreDelivered) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  xmpp::Stanza change = Iq("set", {}, "s1", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", alice_).SetAttr("name", "Alice");
  xmpp::SetPayload(change, query);
  SayLate(bob, {change, Message(bob_, "m1"), Message(alice_, "m2")});
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m2"));
}

}  // namespace
}  // namespace rookery::session_manager
