#include <gmock/gmock.h>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_PRESENCE;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SubscriptionTest : public Cluster {
 protected:
  SubscriptionTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
  }
  void AskForRoster(Client& client) {
    gateway_.Send(client, Iq("get", {}, "roster", "query", "jabber:iq:roster"));
    Settle();
    client.inbox.clear();
  }
  std::vector<xmpp::Stanza> Pushes(const Client& client) { return Only(client.inbox, STANZA_KIND_IQ, "set"); }
  Gateway& gateway_;
  std::string alice_, bob_;
};

TEST_F(SubscriptionTest, AskedApprovedAndSeen) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  AskForRoster(alice);
  AskForRoster(bob);
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  ASSERT_EQ(Pushes(alice).size(), 1u);
  EXPECT_THAT(Pushes(alice)[0].payload(), HasSubstr("ask=\"subscribe\""));
  auto requests = Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].from(), alice_);
  EXPECT_EQ(requests[0].to(), bob_);
  EXPECT_THAT(Pushes(bob), IsEmpty());

  alice.inbox.clear();
  gateway_.Send(bob, Presence("subscribed", alice_));
  Settle();
  ASSERT_EQ(Pushes(bob).size(), 1u);
  EXPECT_THAT(Pushes(bob)[0].payload(), HasSubstr("subscription=\"from\""));
  ASSERT_EQ(Pushes(alice).size(), 1u);
  EXPECT_THAT(Pushes(alice)[0].payload(), HasSubstr("subscription=\"to\""));
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  // Approved: alice sees bob's presence at once.
  const auto seen = Only(alice.inbox, STANZA_KIND_PRESENCE, "");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].from(), bob_ + "/b");

  alice.inbox.clear();
  gateway_.Send(bob, Presence("unsubscribed", alice_));
  Settle();
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
}

TEST_F(SubscriptionTest, RequestsAreShownAtEachNewSessionUntilAnswered) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  for (int i = 0; i < 2; ++i) {
    Client& bob = gateway_.Start(bob_, "b" + std::to_string(i));
    Settle();
    gateway_.Send(bob, Presence());
    Settle();
    EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
    if (i == 1) gateway_.Send(bob, Presence("unsubscribed", alice_));
    Settle();
    gateway_.End(bob, session::v1::END_REASON_CLOSED);
    Settle();
  }
  Client& bob = gateway_.Start(bob_, "after");
  Settle();
  gateway_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
}

TEST_F(SubscriptionTest, PreApproved_AnsweredOnTheUsersBehalf) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(bob, Presence("subscribed", alice_));
  Settle();
  EXPECT_THAT(alice.inbox, IsEmpty());
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "").size(), 1u);
}

TEST_F(SubscriptionTest, ToAFullJid_ActsAsOnTheBare) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Presence("subscribe", bob_ + "/whatever"));
  Settle();
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
}

TEST_F(SubscriptionTest, ToNobody_Silence) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence("subscribe", "nobody@localhost"));
  gateway_.Send(alice, Presence("probe", "nobody@localhost"));
  Settle();
  EXPECT_THAT(alice.inbox, IsEmpty());
  EXPECT_FALSE(roster_.rosters.contains("nobody@localhost"));
  EXPECT_EQ(alice.confirmed, 3u);
}

TEST_F(SubscriptionTest, RosterAway_AnAcceptedRequestIsNotLost) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Presence("subscribe", bob_));
  io_.restart();
  log_.held = true;
  Settle();
  roster_.down = true;
  log_.held = false;
  Settle();
  EXPECT_EQ(alice.confirmed, 2u);
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size() == 1; }));
}

TEST_F(SubscriptionTest, RosterAway_TheSenderIsTold) {
  Client& alice = SignIn(gateway_, alice_, "a");
  roster_.down = true;
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_THAT(alice.inbox[0].payload(), HasSubstr("type=\"wait\""));
}

TEST_F(SubscriptionTest, PushesGoToInterestedResourcesOnly) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = SignIn(gateway_, alice_, "two");
  AskForRoster(one);
  one.inbox.clear();
  two.inbox.clear();
  xmpp::Stanza set = Iq("set", {}, "s1", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", bob_).SetAttr("name", "Bob");
  xmpp::SetPayload(set, query);
  gateway_.Send(two, set);
  Settle();
  ASSERT_EQ(Pushes(one).size(), 1u);
  EXPECT_EQ(Pushes(one)[0].from(), alice_);
  EXPECT_EQ(Pushes(one)[0].to(), alice_ + "/one");
  EXPECT_THAT(Pushes(one)[0].payload(), HasSubstr("ver="));
  EXPECT_THAT(Pushes(two), IsEmpty());
  EXPECT_EQ(Only(two.inbox, STANZA_KIND_IQ, "result").size(), 1u);
}

TEST_F(SubscriptionTest, RemovedItem_TheContactIsTold) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.inbox.clear();
  xmpp::Stanza set = Iq("set", {}, "s1", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", bob_).SetAttr("subscription", "remove");
  xmpp::SetPayload(set, query);
  gateway_.Send(alice, set);
  Settle();
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), 1u);
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  bob.inbox.clear();
  gateway_.Send(alice, Presence({}, {}, 4));
  Settle();
  EXPECT_THAT(bob.inbox, IsEmpty());
}

}  // namespace
}  // namespace rookery::session_manager
