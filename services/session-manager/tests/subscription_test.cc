#include "subscriptions.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  // From his session, and from his bare JID.
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 2u);
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

// Section 3.1.3: the request is kept as it was, whoever asks again meanwhile.
TEST_F(SubscriptionTest, RequestsAreKeptWithTheirChildren) {
  Client& alice = SignIn(gateway_, alice_, "a");
  for (const char* words : {"it's me", "again"}) {
    xmpp::Stanza request = Presence("subscribe", bob_ + "/somewhere");
    std::string* payload = request.mutable_payload();
    payload->append("<status>").append(words).append("</status>");
    payload->append("<nick xmlns=\"http://jabber.org/protocol/nick\">Ali</nick>");
    gateway_.Send(alice, request);
    Settle();
  }
  for (int i = 0; i < 2; ++i) {
    Client& bob = gateway_.Start(bob_, "b" + std::to_string(i));
    Settle();
    gateway_.Send(bob, Presence({}, {}, -1));
    Settle();
    const auto requests = Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe");
    ASSERT_EQ(requests.size(), 1u);
    EXPECT_EQ(requests[0].from(), alice_);
    EXPECT_EQ(requests[0].to(), bob_);
    EXPECT_THAT(requests[0].payload(), HasSubstr("<status>it's me</status>"));
    EXPECT_THAT(requests[0].payload(), HasSubstr(">Ali</nick>"));
    // Once a session: a change of presence is no new one.
    gateway_.Send(bob, Presence({}, {}, 3));
    Settle();
    EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
    gateway_.End(bob, session::v1::END_REASON_CLOSED);
    Settle();
  }
}

// Sections 3.1.3 and 3.1.6: requests to available resources, what answers them also to those
// that are not but keep a roster.
TEST_F(SubscriptionTest, WhichResourcesAreShownWhat) {
  Client& quiet = SignIn(gateway_, bob_, "quiet", -5);
  Client& keeper = SignIn(gateway_, bob_, "keeper", std::nullopt);
  Client& neither = SignIn(gateway_, bob_, "neither", std::nullopt);
  AskForRoster(keeper);
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  EXPECT_EQ(Only(quiet.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
  EXPECT_THAT(keeper.inbox, IsEmpty());
  EXPECT_THAT(neither.inbox, IsEmpty());
  gateway_.Send(quiet, Presence("subscribe", alice_));
  Settle();
  gateway_.Send(alice, Presence("subscribed", bob_));
  Settle();
  EXPECT_EQ(Only(quiet.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_EQ(Only(keeper.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_EQ(Pushes(keeper).size(), 2u);  // asked, granted
  EXPECT_THAT(neither.inbox, IsEmpty());
}

TEST_F(SubscriptionTest, AlreadySubscribed_AnsweredAndNotShown) {
  roster_.Befriend(alice_, bob_);
  roster_.rosters[alice_][bob_].to = false;  // alice's side has forgotten
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  alice.inbox.clear();
  bob.inbox.clear();
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_TRUE(roster_.rosters[alice_][bob_].to);
}

// Section 3.3.3 and 3.2.3.
TEST_F(SubscriptionTest, Unsubscribed_NothingIsSeenAnyMore) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  AskForRoster(alice);
  AskForRoster(bob);
  gateway_.Send(alice, Presence("unsubscribe", bob_));
  Settle();
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 2u);
  ASSERT_EQ(Pushes(alice).size(), 1u);
  EXPECT_THAT(Pushes(alice)[0].payload(), HasSubstr("subscription=\"from\""));
  ASSERT_EQ(Pushes(bob).size(), 1u);
  EXPECT_THAT(Pushes(bob)[0].payload(), HasSubstr("subscription=\"to\""));
  alice.inbox.clear();
  bob.inbox.clear();
  gateway_.Send(bob, Presence({}, {}, 7));
  gateway_.Send(alice, Presence({}, {}, 7));
  Settle();
  EXPECT_THAT(alice.inbox, ::testing::Each(::testing::Property(&xmpp::Stanza::from, HasSubstr(alice_))));
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "").size(), 2u);  // his own and hers
}

TEST_F(SubscriptionTest, ToOneself_Silence) {
  Client& alice = SignIn(gateway_, alice_, "a");
  AskForRoster(alice);
  gateway_.Send(alice, Presence("subscribe", alice_));
  gateway_.Send(alice, Presence("subscribed", alice_ + "/a"));
  Settle();
  EXPECT_THAT(alice.inbox, IsEmpty());
  EXPECT_THAT(roster_.rosters[alice_], IsEmpty());
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  EXPECT_EQ(Pushes(alice).size(), 1u) << "to another is none";
}

TEST_F(SubscriptionTest, ToAnotherServer_ToldAndNothingChanged) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence("subscribe", "far@elsewhere.example"));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_THAT(alice.inbox[0].payload(), HasSubstr("remote-server-not-found"));
  EXPECT_THAT(roster_.rosters[alice_], IsEmpty());
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
  log_.held = true;
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  log_.Flush();  // her own shard has it
  Settle();
  roster_.down = true;
  log_.held = false;
  Settle();
  EXPECT_EQ(alice.confirmed, 2u);
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size() == 1; }));
}

// Section 10.1 of RFC 6120: between the two of them, and nobody else.
TEST_F(SubscriptionTest, RosterAway_TheSendersOtherStanzasGoOn) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  const std::string carol_name = UserIn(2, 1);  // of bob's shard
  Client& carol = SignIn(gateway_, carol_name, "c");
  roster_.changes_held = true;
  gateway_.Send(alice, Presence("subscribe", bob_));
  gateway_.Send(alice, Message(bob_, "to bob"));
  gateway_.Send(alice, Message(carol_name, "to carol"));
  gateway_.Send(alice, Presence({}, {}, 4));
  gateway_.Send(alice, Iq("get", {}, "q", "ping", "urn:xmpp:ping"));
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent);  // in the log
  EXPECT_EQ(carol.MessageIds(), std::vector<std::string>{"to carol"});
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_THAT(bob.inbox, IsEmpty());
  roster_.changes_held = false;
  ASSERT_TRUE(RunUntil([&] { return !bob.MessageIds().empty(); }));
  ASSERT_EQ(bob.inbox.size(), 2u);
  EXPECT_EQ(bob.inbox[0].type(), "subscribe");
  // When nothing is under way any more, straight again, and in order.
  gateway_.Send(alice, Message(bob_, "later"));
  Settle();
  EXPECT_EQ(bob.MessageIds(), (std::vector<std::string>{"to bob", "later"}));
  EXPECT_EQ(log_.Records(0).back().has_outbound(), false);
}

// The owner dies while a request and what came after it are under way.
TEST_F(SubscriptionTest, TheSendersOwnerDies_RequestAndMessage_OnceAndInOrder) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  roster_.changes_held = true;
  gateway_.Send(alice, Presence("subscribe", bob_));
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_EQ(alice.confirmed, alice.sent);
  Kill(0);
  for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  EXPECT_THAT(bob.inbox, IsEmpty());
  roster_.changes_held = false;
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == 2; }));
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(bob.MessageIds(), (std::vector<std::string>{"m1", "m2"}));
  EXPECT_EQ(bob.inbox.front().type(), "subscribe");
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
}

TEST_F(SubscriptionTest, RosterAwayForAMoment_NobodyNotices) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  roster_.down = true;
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size() == 1; }));
  EXPECT_THAT(alice.inbox, IsEmpty());
}

// ---- answers that do not say what became of the change --------------------------

/// alice and bob see each other, and both keep a roster.
class UnsureTest : public SubscriptionTest {
 protected:
  UnsureTest() {
    roster_.Befriend(alice_, bob_);
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(gateway_, bob_, "b");
    AskForRoster(*alice);
    AskForRoster(*bob);
    alice->inbox.clear();
  }
  /// The request was made, and nobody hears so for longer than anybody waits.
  void LoseAnswers() { roster_.answers_lost = 6; }
  std::size_t Seen(const Client& client, const std::string& type) {
    return Only(client.inbox, STANZA_KIND_PRESENCE, type).size();
  }
  xmpp::Stanza Change(const std::string& id, const std::function<void(xmpp::Element&)>& fill) {
    xmpp::Stanza iq = Iq("set", {}, id, "query", "jabber:iq:roster");
    xmpp::Element query("query", "jabber:iq:roster");
    fill(query.Add("item"));
    xmpp::SetPayload(iq, query);
    return iq;
  }
  xmpp::Stanza Removal(const std::string& jid) {
    return Change("remove",
                  [&](xmpp::Element& item) { item.SetAttr("jid", jid).SetAttr("subscription", "remove"); });
  }
  Client* alice = nullptr;
  Client* bob = nullptr;
};

TEST_F(UnsureTest, Revoked_AllThatFollowsComesWhenItIsKnown) {
  LoseAnswers();
  gateway_.Send(*bob, Presence("unsubscribed", alice_));
  ASSERT_TRUE(RunUntil([&] { return Seen(*alice, "unsubscribed") == 1; }));
  Settle();
  EXPECT_EQ(roster_.answers_lost, 0);
  EXPECT_EQ(Seen(*alice, "unavailable"), 2u);
  ASSERT_EQ(Pushes(*bob).size(), 1u);
  EXPECT_THAT(Pushes(*bob)[0].payload(), HasSubstr("subscription=\"to\""));
  EXPECT_EQ(Seen(*bob, "error"), 0u);
}

TEST_F(UnsureTest, Revoked_WhoIsOutOfTheRosterIsShownNothingMeanwhile) {
  roster_.answers_lost = 1'000;
  gateway_.Send(*bob, Presence("unsubscribed", alice_));
  Settle();
  ASSERT_FALSE(roster_.rosters[bob_][alice_].from);
  gateway_.Send(*bob, Presence({}, {}, 7));
  gateway_.Send(*bob, Message(alice_, "m"));
  Settle();
  EXPECT_EQ(Seen(*alice, ""), 0u);
  // He himself is.
  EXPECT_TRUE(RunUntil([&] { return Seen(*bob, "") == 1; }));
  roster_.answers_lost = 0;
  ASSERT_TRUE(RunUntil([&] { return !alice->MessageIds().empty(); }));
  EXPECT_EQ(Seen(*alice, ""), 0u);
  EXPECT_EQ(Seen(*alice, "unavailable"), 2u);
}

TEST_F(UnsureTest, Granted_SeenWhenItIsKnown) {
  roster_.rosters[bob_][alice_].from = roster_.rosters[alice_][bob_].to = false;
  roster_.rosters[bob_][alice_].pending_in = roster_.rosters[alice_][bob_].pending_out = true;
  roster_.answers_lost = 1;
  gateway_.Send(*bob, Presence("subscribed", alice_));
  ASSERT_TRUE(RunUntil([&] { return Seen(*alice, "subscribed") == 1; }));
  EXPECT_EQ(Seen(*alice, ""), 1u);
}

TEST_F(UnsureTest, Removed_ResultPushAndStanzasComeWhenItIsKnown) {
  LoseAnswers();
  gateway_.Send(*bob, Removal(alice_));
  const auto answers = [&] {
    std::vector<xmpp::Stanza> all = Only(bob->inbox, STANZA_KIND_IQ);
    std::erase_if(all, [](const xmpp::Stanza& iq) { return iq.id() != "remove"; });
    return all;
  };
  ASSERT_TRUE(RunUntil([&] { return !answers().empty(); }));
  Settle();
  ASSERT_EQ(answers().size(), 1u);
  EXPECT_EQ(answers()[0].type(), "result");
  ASSERT_EQ(Pushes(*bob).size(), 1u);
  EXPECT_THAT(Pushes(*bob)[0].payload(), HasSubstr("subscription=\"remove\""));
  EXPECT_EQ(Seen(*alice, "unsubscribe"), 1u);
  EXPECT_EQ(Seen(*alice, "unsubscribed"), 1u);
  EXPECT_EQ(Seen(*alice, "unavailable"), 2u);
}

TEST_F(UnsureTest, Named_ResultWhenItIsKnown) {
  roster_.answers_lost = 1;
  gateway_.Send(*bob, Change("name", [&](xmpp::Element& item) {
    item.SetAttr("jid", alice_).SetAttr("name", "Ally");
  }));
  ASSERT_TRUE(RunUntil([&] { return Only(bob->inbox, STANZA_KIND_IQ, "result").size() == 1; }));
  ASSERT_EQ(Pushes(*bob).size(), 1u);
  EXPECT_THAT(Pushes(*bob)[0].payload(), HasSubstr("Ally"));
  EXPECT_THAT(Only(bob->inbox, STANZA_KIND_IQ, "error"), IsEmpty());
}

TEST_F(UnsureTest, TheSessionIsOverMeanwhile_TheContactHearsAllTheSame) {
  roster_.answers_lost = 1'000;
  gateway_.Send(*bob, Removal(alice_));
  Settle();
  gateway_.End(*bob, session::v1::END_REASON_CLOSED);
  Settle();
  roster_.answers_lost = 0;
  ASSERT_TRUE(RunUntil([&] { return Seen(*alice, "unsubscribed") == 1; }));
  EXPECT_EQ(Seen(*alice, "unsubscribe"), 1u);
  EXPECT_GE(Seen(*alice, "unavailable"), 1u);
}

TEST_F(UnsureTest, TheOwnerDiesMeanwhile_ItsHeirFindsOut) {
  roster_.answers_lost = 1'000;
  gateway_.Send(*bob, Presence("unsubscribed", alice_));
  Settle();
  Kill(1);
  for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(2) && IsLive(3); }));
  roster_.answers_lost = 0;
  ASSERT_TRUE(RunUntil([&] { return Seen(*alice, "unsubscribed") == 1; }));
  EXPECT_TRUE(RunUntil([&] { return Seen(*alice, "unavailable") == 2; }));
}

// Somebody else may have been answered, and the answer forgotten.
TEST_F(UnsureTest, WhoHasStoodStillDoesNotAskWhileItsShardIsPerhapsAnothers) {
  roster_.answers_lost = 1'000;
  const std::string carol = UserIn(1);
  gateway_.Send(*bob, Presence("unsubscribed", alice_));
  gateway_.Send(*alice, Presence("subscribe", carol));
  Settle();
  const auto asked_for = [&](const std::string& user) { return roster_.outbound_asked[user]; };
  Shard& shard = *node(1).domain.shards().Shared(2);
  shard.suspended = true;
  const int before = asked_for(bob_);
  EXPECT_TRUE(RunUntil([&] { return asked_for(alice_) >= 4; }));
  EXPECT_EQ(asked_for(bob_), before);
  shard.suspended = false;
  roster_.answers_lost = 0;
  EXPECT_TRUE(RunUntil([&] { return Seen(*alice, "unsubscribed") == 1; }));
}

// Whatever is wrong with the service: only what it refuses is not asked again.
TEST_F(UnsureTest, AnyOtherError_AskedAgain) {
  const std::string carol_name = UserIn(1);
  Client& carol = SignIn(gateway_, carol_name, "c");
  roster_.failures = {absl::InternalError("a bug"), absl::UnknownError("?")};
  gateway_.Send(carol, Presence("subscribe", bob_));
  ASSERT_TRUE(RunUntil([&] { return Seen(*bob, "subscribe") == 1; }));
  bob->inbox.clear();
  gateway_.Send(carol, Presence("unsubscribe", bob_));
  Settle();
  log_.held = true;
  gateway_.Send(carol, Presence("subscribe", bob_));
  Settle();
  log_.Flush();  // her own shard has it
  Settle();
  roster_.failures = {absl::InternalError("a bug"), absl::PermissionDeniedError("who?")};  // bob's
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return Seen(*bob, "subscribe") == 1; }));
  EXPECT_EQ(Seen(carol, "error"), 0u);
}

TEST_F(UnsureTest, Refused_ToldAtOnce_AndAskedNoMore) {
  const std::string carol = UserIn(1);
  roster_.failures = {absl::ResourceExhaustedError("the roster is full")};
  gateway_.Send(*bob, Presence("subscribe", carol));
  Settle();
  ASSERT_EQ(Seen(*bob, "error"), 1u);
  roster_.failures = {absl::InvalidArgumentError("too long")};
  gateway_.Send(*bob, Change("name", [&](xmpp::Element& item) { item.SetAttr("jid", carol); }));
  Settle();
  EXPECT_EQ(Only(bob->inbox, STANZA_KIND_IQ, "error").size(), 1u);
  Elapse(std::chrono::seconds(5));
  EXPECT_FALSE(roster_.rosters[bob_].contains(carol));
}

TEST_F(UnsureTest, RosterAwayForLong_WhatCannotWaitAnyMoreIsRefused_AndOthersGoOn) {
  roster_.down = true;
  const auto nth = [](std::size_t n) { return "n" + std::to_string(n) + "@localhost"; };
  for (std::size_t i = 0; i < RecordOrder::kMaxSending + 10; ++i)
    gateway_.Send(*bob, Presence("subscribe", nth(i)));
  Settle();
  // That many at once are no error yet.
  EXPECT_EQ(Seen(*bob, "error"), 0u);
  clock_.Advance(std::chrono::seconds(2));
  const std::size_t records = log_.Records(2).size();
  gateway_.Send(*bob, Presence("subscribe", nth(1'000)));
  gateway_.Send(*bob, Message(nth(0), "behind the first"));
  gateway_.Send(*bob, Change("name", [&](xmpp::Element& item) { item.SetAttr("jid", alice_); }));
  gateway_.Send(*bob, Message(alice_, "hello"));
  Settle();
  EXPECT_EQ(Seen(*bob, "error"), 1u);
  ASSERT_EQ(Only(bob->inbox, common::v1::STANZA_KIND_MESSAGE, "error").size(), 1u);
  EXPECT_THAT(Only(bob->inbox, common::v1::STANZA_KIND_MESSAGE, "error")[0].payload(),
              HasSubstr("resource-constraint"));
  EXPECT_EQ(Only(bob->inbox, STANZA_KIND_IQ, "error").size(), 1u);
  EXPECT_EQ(alice->MessageIds(), std::vector<std::string>{"hello"});
  EXPECT_EQ(bob->confirmed, bob->sent);
  // Nothing of that is in his log but the copy of what went out.
  EXPECT_EQ(log_.Records(2).size(), records + 1);
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return roster_.rosters[bob_][nth(0)].pending_out; }));
}

// ---- the owner dies between the roster's change and what follows from it -------

TEST_F(KilledInBetweenTest, Subscribed_TheContactHears) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  AskForRoster(bob);
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  alice.inbox.clear();
  KillAfter(1, [&] { SendThroughLog(bob, Presence("subscribed", alice_)); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "").size(), 1u);
  EXPECT_TRUE(roster_.rosters[alice_][bob_].to);
  EXPECT_TRUE(roster_.rosters[bob_][alice_].from);
  EXPECT_EQ(bob.confirmed, bob.sent);
  // And bob's client knows.
  ASSERT_GE(Pushes(bob).size(), 1u);
  EXPECT_THAT(Pushes(bob).back().payload(), HasSubstr("subscription=\"from\""));
}

TEST_F(KilledInBetweenTest, Unsubscribed_TheContactHears) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  alice.inbox.clear();
  KillAfter(1, [&] { SendThroughLog(bob, Presence("unsubscribed", alice_)); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 2u);
  EXPECT_FALSE(roster_.rosters[alice_][bob_].to);
  EXPECT_EQ(bob.confirmed, bob.sent);
}

TEST_F(KilledInBetweenTest, ItemRemoved_TheContactHearsAndTheClientHasItsResult) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  alice.inbox.clear();
  // The result may have left, or not: it is no error in any case.
  KillAfter(1, [&] { SendThroughLog(bob, Removal(alice_)); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 2u);
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_IQ, "error"), IsEmpty());
  EXPECT_GE(Only(bob.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_FALSE(roster_.rosters[alice_][bob_].to);
  EXPECT_FALSE(roster_.rosters[alice_][bob_].from);
}

// A record of the log: bob's server takes alice's subscription back and dies before it tells
// her that bob is gone.
TEST_F(KilledInBetweenTest, UnsubscribeReceived_TheSenderHears) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  alice.inbox.clear();
  bob.inbox.clear();
  KillAfter(1, [&] { SendThroughLog(alice, Presence("unsubscribe", bob_)); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 2u);
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), 1u);
  EXPECT_FALSE(roster_.rosters[bob_][alice_].from);
}

TEST_F(KilledInBetweenTest, PreApproved_TheAnswerComes) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(bob, Presence("subscribed", alice_));
  Settle();
  KillAfter(1, [&] { SendThroughLog(alice, Presence("subscribe", bob_)); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "").size(), 1u);
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
}

// A request that an earlier owner has given and the client has not acknowledged is read again, and the
// roster, which has made the change, still says that it is to be delivered.
TEST_F(KilledInBetweenTest, GivenAndNotAcknowledged_ResumedWithIt) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  Settle();
  bob.acks = false;
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  ASSERT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u);
  KillAfter(1, [] {});
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  Client& again = gateway_.Resume(bob, static_cast<std::uint32_t>(bob.last_seq - bob.base_seq) - 1);
  again.inbox.clear();
  EXPECT_TRUE(RunUntil([&] { return Only(again.inbox, STANZA_KIND_PRESENCE, "subscribe").size() == 1; }));
}

// The answer is given beforehand: nothing but the push tells the client of the subscription.
TEST_F(KilledInBetweenTest, PushedToOneWhoIsAway_ResumedWithIt) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  AskForRoster(bob);
  gateway_.Send(bob, Presence("subscribed", alice_));
  Settle();
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(bob.parked);
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  KillAfter(1, [] {});
  Client& again = gateway_.Resume(bob, static_cast<std::uint32_t>(bob.last_seq - bob.base_seq));
  ASSERT_TRUE(RunUntil([&] { return !Pushes(again).empty(); }));
  EXPECT_THAT(Pushes(again).back().payload(), HasSubstr("subscription=\"from\""));
}

// It never reached the log: the gateway has it still.
TEST_F(KilledInBetweenTest, SubscribedAndLostInFlight_SentAgain) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  alice.inbox.clear();
  KillAfter(1, [&] { gateway_.Send(bob, Presence("subscribed", alice_)); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribed").size(), 1u);
  EXPECT_EQ(bob.confirmed, bob.sent);
}

TEST_F(KilledInBetweenTest, AccountRemoved_TheContactsHear) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  const std::string carol = UserIn(1);
  Client& waiting = SignIn(gateway_, carol, "c");
  gateway_.Send(waiting, Presence("subscribe", bob_));
  Settle();
  alice.inbox.clear();
  xmpp::Stanza remove = Iq("set", {}, "r1", "query", "jabber:iq:register");
  xmpp::Element query("query", "jabber:iq:register");
  query.Add("remove");
  xmpp::SetPayload(remove, query);
  KillAfter(1, [&] { SendThroughLog(bob, remove); });
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), 1u);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  EXPECT_GE(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
  EXPECT_FALSE(database_.accounts.contains(bob_));
  EXPECT_TRUE(bob.ended);
  EXPECT_EQ(Only(waiting.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  EXPECT_FALSE(roster_.rosters[carol][bob_].pending_out);
}

TEST_F(KilledInBetweenTest, Subscribed_OneResourceHasLeft_TheContactSeesTheOther) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& one = SignIn(gateway_, bob_, "one");
  SignIn(gateway_, bob_, "two");
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  alice.inbox.clear();
  KillAfter(1, [&] {
    gateway_.Send(one, Presence("subscribed", alice_));
    Settle();
    log_.Flush(1);  // the stanza itself
    Settle();
    log_.Flush(2);  // `subscribed` and the presence of the first
    Settle();
    gateway_.Send(one, Presence("unavailable"));
  });
  const auto seen = Only(alice.inbox, STANZA_KIND_PRESENCE, "");
  EXPECT_TRUE(std::any_of(seen.begin(), seen.end(),
                          [&](const auto& presence) { return presence.from() == bob_ + "/two"; }));
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
