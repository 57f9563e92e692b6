#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "cluster.h"
#include "domain/presence/presence_tracker.h"
#include "domain/users/settings_cache.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kBlocking = "urn:xmpp:blocking";

/// alice blocks bob, who is in another shard and sees her; eve is a bystander.
class BlockingTest : public Cluster {
 protected:
  BlockingTest() : Cluster(3), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    eve_ = UserIn(1);
    bob_ = UserIn(2);
    roster_.Befriend(alice_, bob_);
    roster_.Befriend(alice_, eve_);
    bob = &SignIn(gateway_, bob_, "b");
    eve = &SignIn(gateway_, eve_, "e");
    alice = &SignIn(gateway_, alice_, "a");
    Clear();
  }
  void Clear() {
    for (Client* client : {alice, bob, eve}) client->inbox.clear();
  }
  static xmpp::Stanza Change(std::string_view name, const std::vector<std::string>& jids) {
    xmpp::Stanza iq = Iq("set", {}, "c", name, kBlocking);
    xmpp::Element element(name, kBlocking);
    for (const std::string& jid : jids) element.Add("item").SetAttr("jid", jid);
    xmpp::SetPayload(iq, element);
    return iq;
  }
  /// The answer's type, or the condition of the error.
  std::string Ask(Client& client, const xmpp::Stanza& iq) {
    client.inbox.clear();
    gateway_.Send(client, iq);
    Settle();
    // Somebody else is refused after a while.
    const bool is_for_another = !iq.to().empty() && xmpp::BareOf(iq.to()) != client.user;
    if (is_for_another && iq.type() != "result")
      EXPECT_TRUE(RunUntil([&] { return !Only(client.inbox, STANZA_KIND_IQ).empty(); }));
    for (const xmpp::Stanza& stanza : client.inbox) {
      if (stanza.kind() != STANZA_KIND_IQ || stanza.id() != iq.id()) continue;
      if (stanza.type() != "error") return stanza.type();
      for (const char* condition : {"service-unavailable", "bad-request", "jid-malformed",
                                    "resource-constraint", "not-acceptable", "policy-violation"})
        if (stanza.payload().find(condition) != std::string::npos) return condition;
      return stanza.payload();
    }
    return "nothing";
  }
  std::string Block(const std::vector<std::string>& jids) { return Ask(*alice, Change("block", jids)); }
  std::string Unblock(const std::vector<std::string>& jids) { return Ask(*alice, Change("unblock", jids)); }
  std::string List(Client& client) {
    client.inbox.clear();
    gateway_.Send(client, Iq("get", {}, "l", "blocklist", kBlocking));
    Settle();
    const auto answers = Only(client.inbox, STANZA_KIND_IQ, "result");
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? std::string() : answers[0].payload();
  }
  /// All that `from` is shown of `of`'s presence, in order.
  static std::vector<std::string> Seen(const Client& from, const std::string& of) {
    std::vector<std::string> types;
    for (const xmpp::Stanza& stanza : from.inbox)
      if (stanza.kind() == STANZA_KIND_PRESENCE && stanza.from() == of && stanza.type() != "probe")
        types.push_back(stanza.type());
    return types;
  }
  Gateway& gateway_;
  std::string alice_, bob_, eve_;
  Client* alice = nullptr;
  Client* bob = nullptr;
  Client* eve = nullptr;
};

// ---- the list (sections 3.2 to 3.5) -------------------------------------------

TEST_F(BlockingTest, Advertised) {
  EXPECT_THAT(
      [&] {
        alice->inbox.clear();
        gateway_.Send(*alice, Iq("get", "localhost", "d", "query", "http://jabber.org/protocol/disco#info"));
        Settle();
        return alice->inbox.at(0).payload();
      }(),
      HasSubstr("\"urn:xmpp:blocking\""));
}

TEST_F(BlockingTest, EmptyListAndThenWhatIsBlocked) {
  EXPECT_THAT(List(*alice), Not(HasSubstr("<item")));
  EXPECT_EQ(Block({bob_, "far.example", bob_}), "result");
  EXPECT_EQ(List(*alice), "<blocklist xmlns=\"urn:xmpp:blocking\"><item jid=\"" + bob_ +
                              "\"/><item jid=\"far.example\"/></blocklist>");
  EXPECT_EQ(Block({bob_}), "result");  // once more: nothing new
  EXPECT_EQ(Unblock({bob_, "never@blocked"}), "result");
  EXPECT_THAT(List(*alice), Not(HasSubstr(bob_)));
  EXPECT_EQ(Unblock({}), "result");
  EXPECT_THAT(List(*alice), Not(HasSubstr("<item")));
  EXPECT_EQ(Unblock({}), "result");
}

TEST_F(BlockingTest, BadRequests) {
  EXPECT_EQ(Block({}), "bad-request");
  EXPECT_EQ(Block({""}), "bad-request");
  EXPECT_EQ(Unblock({""}), "bad-request");
  EXPECT_EQ(Block({"a@@b"}), "jid-malformed");
  EXPECT_THAT(List(*alice), Not(HasSubstr("<item")));
}

TEST_F(BlockingTest, TheListIsBounded) {
  std::vector<std::string> many;
  for (int i = 0; i < 1'000; ++i) many.push_back("u" + std::to_string(i) + "@far.example");
  EXPECT_EQ(Block(many), "result");
  EXPECT_EQ(Block({bob_}), "resource-constraint");
  many.push_back("one@more.example");
  EXPECT_EQ(Block(many), "policy-violation");
}

TEST_F(BlockingTest, NobodyElsesList) {
  for (const char* name : {"block", "unblock"}) {
    xmpp::Stanza change = Change(name, {eve_});
    change.set_to(bob_);
    EXPECT_EQ(Ask(*alice, change), "service-unavailable");
  }
  EXPECT_EQ(Ask(*alice, Iq("get", bob_, "l", "blocklist", kBlocking)), "service-unavailable");
}

TEST_F(BlockingTest, PushesToThoseThatHaveAskedForTheList) {
  Client& phone = SignIn(gateway_, alice_, "phone");
  Client& tablet = SignIn(gateway_, alice_, "tablet");
  List(phone);
  phone.inbox.clear();
  tablet.inbox.clear();
  Block({bob_});
  Unblock({});
  const auto pushes = Only(phone.inbox, STANZA_KIND_IQ, "set");
  ASSERT_EQ(pushes.size(), 2u);
  EXPECT_EQ(pushes[0].payload(), "<block xmlns=\"urn:xmpp:blocking\"><item jid=\"" + bob_ + "\"/></block>");
  EXPECT_EQ(pushes[0].to(), alice_ + "/phone");
  EXPECT_EQ(pushes[1].payload(), "<unblock xmlns=\"urn:xmpp:blocking\"/>");
  EXPECT_THAT(Only(tablet.inbox, STANZA_KIND_IQ), IsEmpty());
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ, "set"), IsEmpty());
}

// ---- from a blocked address (section 3.3) ----------------------------------------

TEST_F(BlockingTest, Messages_ServiceUnavailable_NeitherDeliveredNorStoredNorArchived) {
  Client& phone = SignIn(gateway_, alice_, "phone");
  Carbons(phone);
  Block({bob_});
  Clear();
  const std::size_t archived = log_.messages.size();
  gateway_.Send(*bob, Message(alice_, "m1"));
  gateway_.Send(*bob, Message(alice_ + "/a", "m2", "normal"));
  gateway_.Send(*bob, Message(alice_, "m3", "headline"));
  gateway_.Send(*bob, Message(alice_ + "/a", "e", "error"));
  gateway_.Send(*eve, Message(alice_, "from eve"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("from eve"));
  EXPECT_EQ(phone.MessageIds().size(), 1u);
  const auto errors = Only(bob->inbox, STANZA_KIND_MESSAGE, "error");
  ASSERT_EQ(errors.size(), 3u);
  for (const xmpp::Stanza& error : errors) EXPECT_THAT(error.payload(), HasSubstr("service-unavailable"));
  for (std::size_t i = archived; i < log_.messages.size(); ++i)
    EXPECT_FALSE(log_.messages[i].owner() == alice_ && log_.messages[i].stanza().from() == bob_ + "/b");
}

TEST_F(BlockingTest, MessagesToAnAbsentUser_TheSame) {
  Block({bob_});
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  Clear();
  gateway_.Send(*bob, Message(alice_, "m1"));
  gateway_.Send(*eve, Message(alice_, "m2"));
  Settle();
  EXPECT_EQ(database_.Waiting(alice_), 1u);
  EXPECT_EQ(Only(bob->inbox, STANZA_KIND_MESSAGE, "error").size(), 1u);
}

TEST_F(BlockingTest, Requests_ServiceUnavailable_AnswersSilence) {
  Block({bob_});
  Clear();
  EXPECT_EQ(Ask(*bob, Iq("get", alice_ + "/a", "1", "query", "jabber:iq:version")), "service-unavailable");
  EXPECT_EQ(Ask(*bob, Iq("get", alice_, "2", "ping", "urn:xmpp:ping")), "service-unavailable");
  EXPECT_EQ(Ask(*bob, Iq("result", alice_ + "/a", "3")), "nothing");
  EXPECT_THAT(alice->inbox, IsEmpty());
}

TEST_F(BlockingTest, Presence_Silence) {
  Block({bob_});
  Clear();
  for (const char* type : {"", "unavailable", "probe", "subscribe", "subscribed", "unsubscribe"})
    gateway_.Send(*bob, Presence(type, alice_));
  gateway_.Send(*bob, Presence({}, {}, 5));
  gateway_.Send(*eve, Presence({}, {}, 5));
  Settle();
  EXPECT_THAT(Seen(*alice, bob_ + "/b"), IsEmpty());
  EXPECT_THAT(Seen(*alice, bob_), IsEmpty());
  EXPECT_EQ(Seen(*alice, eve_ + "/e").size(), 1u);
  for (const xmpp::Stanza& stanza : bob->inbox) EXPECT_NE(xmpp::BareOf(stanza.from()), alice_);
}

TEST_F(BlockingTest, AfterUnblocking_AllComesThroughAgain) {
  Block({bob_});
  Unblock({bob_});
  Clear();
  gateway_.Send(*bob, Message(alice_, "m"));
  gateway_.Send(*bob, Presence({}, {}, 5));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m"));
  EXPECT_EQ(Seen(*alice, bob_ + "/b").size(), 1u);
  EXPECT_EQ(Ask(*bob, Iq("get", alice_, "2", "ping", "urn:xmpp:ping")), "result");
}

// ---- to a blocked address ----------------------------------------------------------

TEST_F(BlockingTest, OwnStanzas_NotAcceptableWithBlocked) {
  Block({bob_});
  Clear();
  gateway_.Send(*alice, Message(bob_, "m"));
  gateway_.Send(*alice, Presence({}, bob_));
  gateway_.Send(*alice, Presence("subscribe", bob_));
  gateway_.Send(*alice, Presence("probe", bob_));
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "i", "query", "jabber:iq:version"));
  gateway_.Send(*alice, Iq("get", bob_, "j", "ping", "urn:xmpp:ping"));
  gateway_.Send(*alice, Iq("result", bob_ + "/b", "k"));
  gateway_.Send(*alice, Message(bob_, "e", "error"));
  Settle();
  EXPECT_EQ(alice->confirmed, alice->sent);
  EXPECT_THAT(bob->inbox, IsEmpty());
  ASSERT_EQ(alice->inbox.size(), 6u);
  for (const xmpp::Stanza& error : alice->inbox) {
    EXPECT_EQ(error.type(), "error");
    EXPECT_EQ(xmpp::BareOf(error.from()), bob_);
    EXPECT_THAT(error.payload(), HasSubstr("not-acceptable"));
    EXPECT_THAT(error.payload(), HasSubstr("<blocked xmlns=\"urn:xmpp:blocking:errors\"/></error>"));
    EXPECT_THAT(error.payload(), HasSubstr("type=\"cancel\""));
  }
}

// ---- presence at block and unblock ---------------------------------------------------

TEST_F(BlockingTest, Blocked_UnavailableToWhoMaySeeTheUser_AndNothingAfterwards) {
  Block({bob_, "stranger@localhost"});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
  EXPECT_THAT(Seen(*eve, alice_ + "/a"), IsEmpty());
  Clear();
  gateway_.Send(*alice, Presence({}, {}, 7));
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  EXPECT_EQ(Seen(*eve, alice_ + "/a").size(), 1u);
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  EXPECT_THAT(Seen(*eve, alice_ + "/a"), ElementsAre("", "unavailable"));
}

TEST_F(BlockingTest, WhoMaySeeTheUserCannotBeAskedForAtFirst_BlockedThen_AndUnavailable) {
  // The next owner does not know her contacts: nothing that the log says again loads them.
  Elapse(std::chrono::seconds(1));
  Kill(0, /*lose=*/true);
  for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Settle();
  Clear();
  roster_.gets_fail = true;
  EXPECT_EQ(Block({bob_}), "nothing");
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  roster_.gets_fail = false;
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ, "result").empty(); }));
  Settle();
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
}

TEST_F(BlockingTest, Blocked_WhoMayNotSeeTheUser_HearsNothing) {
  roster_.rosters[alice_][bob_].from = false;
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  alice = &SignIn(gateway_, alice_, "a");
  Clear();
  Block({bob_, eve_});
  Unblock({bob_, eve_});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  EXPECT_THAT(Seen(*eve, alice_ + "/a"), ElementsAre("unavailable", "")) << "who may does";
}

TEST_F(BlockingTest, Blocked_WhoHadDirectedPresence_IsToldToo) {
  roster_.rosters[alice_].erase(bob_);
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  alice = &SignIn(gateway_, alice_, "a");
  gateway_.Send(*alice, Presence({}, bob_ + "/b"));
  Settle();
  Clear();
  Block({bob_});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
}

/// alice has sent presence to bob, who is no contact, and blocks him; the log does not have yet that he is
/// told.
class BlockedAndNotToldYet : public BlockingTest {
 protected:
  void BlockBob(std::optional<int> priority = 0) {
    roster_.rosters[alice_].erase(bob_);
    gateway_.End(*alice, session::v1::END_REASON_CLOSED);
    Settle();
    alice = &SignIn(gateway_, alice_, "a", priority);
    gateway_.Send(*alice, Presence({}, bob->jid));
    Elapse(std::chrono::seconds(1));
    Clear();
    log_.held_partitions = {2};
    gateway_.Send(*alice, Change("block", {bob_}));
    Settle();
    EXPECT_EQ(roster_.blocked[alice_].size(), 1u);
    EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  }
  void NextOwner() {
    Kill(0, /*lose=*/true);
    log_.held_partitions.clear();
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
};

TEST_F(BlockedAndNotToldYet, ItsOwnerDies_TheNextOneTells) {
  BlockBob();
  NextOwner();
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre("unavailable"));
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(alice->state));
  EXPECT_EQ(state.directed_size(), 0);
}

TEST_F(BlockedAndNotToldYet, TheSessionEndsMeanwhile_AndItsOwnerAndGatewayDie_TheNextOwnerTells) {
  BlockBob();
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  alice->forgotten = true;
  NextOwner();
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
}

TEST_F(BlockedAndNotToldYet, ItsClientSaysWhyItGoes_TheBlockedOneIsNotTold) {
  BlockBob();
  xmpp::Stanza unavailable = Presence("unavailable", {});
  unavailable.set_payload("<status>away from you</status>");
  gateway_.Send(*alice, std::move(unavailable));
  log_.held_partitions.clear();
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
  Elapse(std::chrono::seconds(1));
  for (const xmpp::Stanza& seen : bob->inbox)
    EXPECT_THAT(seen.payload(), ::testing::Not(::testing::HasSubstr("away from you")));
}

TEST_F(BlockedAndNotToldYet, ItsClientIsNotAvailable_TheSame) {
  BlockBob(std::nullopt);
  log_.held_partitions.clear();
  Settle();
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre("unavailable"));
}

TEST_F(BlockingTest, HiddenFromMany_EachDirectedAddressOfASessionIsLookedUpOnce_AndToldOnce) {
  constexpr int kDirected = 40;
  Client& phone = SignIn(gateway_, alice_, "phone");
  for (Client* client : {alice, &phone}) {
    gateway_.Send(*client, Presence({}, bob_));
    for (int i = 0; i < kDirected; ++i)
      gateway_.Send(*client, Presence({}, "stranger" + std::to_string(i) + "@localhost"));
    gateway_.Send(*client, Presence({}, bob_ + "/b"));
  }
  Settle();
  Clear();
  int lookups = 0;
  PresenceTracker::Audience audience;
  audience.includes = [&](std::string_view address) {
    ++lookups;
    return xmpp::BareOf(address) != eve_;
  };
  audience.is_hidden_anyway = [](std::string_view) { return false; };
  Cause cause;
  Domain& domain = node(0).domain;
  domain.presence().HideFrom(*domain.shards().Find(0), alice_, cause, audience);
  Settle();
  // Two subscribers, and what each of the two sessions has sent presence to; bob is a contact.
  EXPECT_EQ(lookups, 2 + 2 * (kDirected + 1));
  EXPECT_EQ(Seen(*bob, alice->jid).size(), 2u) << "as a contact, and as a resource that was told directly";
  EXPECT_EQ(Seen(*bob, phone.jid).size(), 2u);
  EXPECT_THAT(Seen(*eve, alice->jid), IsEmpty());
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(alice->state));
  EXPECT_EQ(state.directed_size(), 0);
}

TEST_F(BlockingTest, Unblocked_CurrentPresenceOfEveryResource) {
  Client& phone = SignIn(gateway_, alice_, "phone", -1);
  SignIn(gateway_, alice_, "silent", std::nullopt);
  Block({bob_});
  EXPECT_THAT(Seen(*bob, phone.jid), ElementsAre("", "unavailable"));
  bob->inbox.clear();
  Unblock({});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre(""));
  EXPECT_THAT(Seen(*bob, phone.jid), ElementsAre(""));
  EXPECT_THAT(Seen(*bob, alice_ + "/silent"), IsEmpty());
}

TEST_F(BlockingTest, BlockedTwice_ToldOnce_AndUnblockedOnlyWhenNothingBlocksAnyMore) {
  Block({bob_});
  bob->inbox.clear();
  Block({bob_, "localhost"});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  EXPECT_THAT(Seen(*eve, alice_ + "/a"), ElementsAre("unavailable"));
  Unblock({bob_});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  Unblock({"localhost"});
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre(""));
}

// ---- which addresses match (section 5) -------------------------------------------------

TEST_F(BlockingTest, AResourceOnly) {
  Client& desk = SignIn(gateway_, bob_, "desk");
  Block({bob_ + "/b"});
  Clear();
  gateway_.Send(*bob, Message(alice_, "m1"));
  gateway_.Send(desk, Message(alice_, "m2"));
  gateway_.Send(*alice, Message(bob_ + "/desk", "m3"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m2"));
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m3"));
  Clear();
  gateway_.Send(*alice, Message(bob_ + "/b", "m4"));
  Settle();
  ASSERT_EQ(alice->inbox.size(), 1u);
  EXPECT_THAT(alice->inbox[0].payload(), HasSubstr("not-acceptable"));
}

TEST_F(BlockingTest, ADomain_EverybodyOfItButOnesOwn) {
  Client& phone = SignIn(gateway_, alice_, "phone");
  EXPECT_EQ(Block({"localhost"}), "result");
  Clear();
  gateway_.Send(*bob, Message(alice_, "m1"));
  gateway_.Send(*eve, Message(alice_, "m2"));
  gateway_.Send(phone, Message(alice_ + "/a", "own"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("own"));
  // The server answers all the same.
  EXPECT_EQ(Ask(*alice, Iq("get", "localhost", "p", "ping", "urn:xmpp:ping")), "result");
  EXPECT_EQ(Unblock({}), "result");
}

TEST_F(BlockingTest, OneselfIsNeverBlocked) {
  Client& phone = SignIn(gateway_, alice_, "phone");
  Block({alice_, alice_ + "/phone"});
  Clear();
  phone.inbox.clear();
  gateway_.Send(*alice, Message(phone.jid, "m"));
  gateway_.Send(*alice, Presence({}, {}, 3));
  Settle();
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m"));
  EXPECT_EQ(Seen(phone, alice_ + "/a").size(), 1u);
}

// ---- faults ---------------------------------------------------------------------------

TEST_F(BlockingTest, TheNextOwnerKnows) {
  Block({bob_});
  Clear();
  Kill(0);
  for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Settle();
  gateway_.Send(*bob, Message(alice_, "m"));
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  EXPECT_THAT(alice->MessageIds(), IsEmpty());
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  EXPECT_EQ(Only(bob->inbox, STANZA_KIND_MESSAGE, "error").size(), 1u);
}

TEST_F(BlockingTest, AnAccountIsRemoved_WhoeverHasTheNameNextBlocksNobody) {
  Block({bob_});
  xmpp::Stanza removal = Iq("set", {}, "r", "query", "jabber:iq:register");
  xmpp::Element query("query", "jabber:iq:register");
  query.Add("remove");
  xmpp::SetPayload(removal, query);
  gateway_.Send(*alice, removal);
  Settle();
  ASSERT_TRUE(alice->ended);
  database_.accounts[alice_];
  Clear();
  gateway_.Send(*bob, Message(alice_, "m"));
  Settle();
  EXPECT_THAT(Only(bob->inbox, STANZA_KIND_MESSAGE, "error"), IsEmpty());
  EXPECT_EQ(database_.Waiting(alice_), 1u);
  Client& heir = SignIn(gateway_, alice_, "a", std::nullopt);
  gateway_.Send(heir, Presence({}, {}, 0));
  Settle();
  EXPECT_THAT(heir.MessageIds(), ElementsAre("m"));
  EXPECT_THAT(List(heir), Not(HasSubstr("<item")));
}

TEST_F(BlockingTest, TheOwnerDiesInBetween_WhoIsBlockedHearsAllTheSame) {
  log_.held = true;
  gateway_.Send(*alice, Change("block", {bob_}));
  Settle();
  log_.Flush();
  Settle();
  Kill(0, /*lose=*/true);
  log_.held = false;
  for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Settle();
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
  EXPECT_GE(Only(alice->inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_THAT(roster_.blocked[alice_], ElementsAre(bob_));
}

TEST_F(BlockingTest, WhatComesWhileABlockIsUnderWay_IsJudgedByIt) {
  roster_.changes_held = true;
  gateway_.Send(*alice, Change("block", {bob_}));
  Settle();
  gateway_.Send(*bob, Message(alice_, "m1"));
  gateway_.Send(*eve, Message(alice_, "m2"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), IsEmpty());
  roster_.changes_held = false;
  ASSERT_TRUE(RunUntil([&] { return !alice->MessageIds().empty(); }));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m2"));
}

// The outcome is found out; meanwhile nobody waits for it.
TEST_F(BlockingTest, AnswersAreLost_AllThatFollowsComesWhenItIsKnown_AndMessagesGoOn) {
  roster_.answers_lost = 1'000;
  gateway_.Send(*alice, Change("block", {bob_}));
  Settle();
  gateway_.Send(*eve, Message(alice_, "m1"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ), IsEmpty());
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), IsEmpty());
  roster_.answers_lost = 0;
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ).empty(); }));
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_IQ)[0].type(), "result");
  Settle();
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
}

TEST_F(BlockingTest, BehindAChangeOfTheRosterThatIsInDoubt_MessagesGoOn_AndItIsMadeAfterwards) {
  roster_.answers_lost = 1'000;
  xmpp::Stanza name = Iq("set", {}, "n", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", eve_).SetAttr("name", "Eve");
  xmpp::SetPayload(name, query);
  gateway_.Send(*alice, name);
  gateway_.Send(*alice, Change("block", {bob_}));
  Settle();
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  roster_.answers_lost = 0;
  ASSERT_TRUE(RunUntil([&] { return Only(alice->inbox, STANZA_KIND_IQ, "result").size() == 2; }));
  gateway_.Send(*bob, Message(alice_, "m2"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Seen(*bob, alice_ + "/a"), ElementsAre("unavailable"));
}

TEST_F(BlockingTest, RosterAway_BlockedWhenItIsBack) {
  roster_.down = true;
  EXPECT_EQ(Block({bob_}), "nothing");
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ, "result").empty(); }));
  EXPECT_THAT(roster_.blocked[alice_], ElementsAre(bob_));
  EXPECT_EQ(Unblock({bob_}), "result");
}

// ---- settings -----------------------------------------------------------------------

class SettingsTest : public BlockingTest {
 protected:
  SettingsTest() {
    gateway_.End(*alice, session::v1::END_REASON_CLOSED);
    Settle();
    Clear();
  }
  const SettingsCache& Cache(int number) { return node(number).domain.settings_cache(); }
};

TEST_F(SettingsTest, OfAnAbsentUser_AskedForOnce) {
  const std::string carol = UserIn(3);
  const int before = roster_.settings_gets;
  for (int i = 0; i < 5; ++i) gateway_.Send(*bob, Message(carol, "m" + std::to_string(i)));
  Settle();
  EXPECT_EQ(database_.Waiting(carol), 5u);
  EXPECT_EQ(roster_.settings_gets, before + 1);
  EXPECT_GE(Cache(1).size(), 1u);
}

TEST_F(SettingsTest, TheyComeWithTheRoster) {
  const int before = roster_.settings_gets;
  Client& carol = SignIn(gateway_, UserIn(3), "c");
  gateway_.Send(carol, Message(bob_, "m"));
  Settle();
  EXPECT_EQ(roster_.settings_gets, before);
}

TEST_F(SettingsTest, NotKnownInTime_MessagesGoOn) {
  const std::string carol = UserIn(3);
  roster_.settings_held = true;
  gateway_.Send(*bob, Message(carol, "m1"));
  Settle();
  EXPECT_EQ(database_.Waiting(carol), 0u);
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(carol) == 1; }));
  // Nobody waits any more.
  const std::string dave = UserIn(3, 1);
  gateway_.Send(*bob, Message(dave, "m2"));
  Settle();
  EXPECT_EQ(database_.Waiting(dave), 1u);
  roster_.settings_held = false;
  Settle();
}

TEST_F(SettingsTest, NoRosterServiceAnswersAtOnce_WhatAnAbsentUserIsSentGoesOn) {
  const std::string carol = UserIn(3);
  roster_.down = true;
  gateway_.Send(*bob, Message(carol, "m1"));
  Settle();
  EXPECT_EQ(database_.Waiting(carol), 1u);
  const Shard& shard = *node(1).domain.shards().Find(3);
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

TEST_F(SettingsTest, OneAnswerDoesNotCome_OthersAreWaitedForAllTheSame) {
  const std::string carol = UserIn(3), dave = UserIn(3, 1);
  roster_.blocked[dave] = {bob_};
  roster_.settings_held_of = carol;
  gateway_.Send(*bob, Message(carol, "m1"));
  Settle();
  gateway_.Send(*eve, Message(UserIn(3, 2), "m2"));  // somebody is answered
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(carol) == 1; }));
  gateway_.Send(*bob, Message(dave, "m3"));
  Settle();
  EXPECT_EQ(database_.Waiting(dave), 0u);
  roster_.settings_held_of.clear();
  Settle();
}

TEST_F(BlockingTest, TheAnswerIsLost_WhatWasBlockedIsBlocked) {
  roster_.answers_lost = 1;
  EXPECT_NE(Block({bob_}), "result");
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  alice->inbox.clear();
  gateway_.Send(*bob, Message(alice_, "m2"));
  gateway_.Send(*eve, Message(alice_, "m3"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m3"));
}

TEST_F(SettingsTest, RosterAway_LearntLater) {
  roster_.blocked[alice_] = {bob_};
  Kill(0);
  for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Client& again = SignIn(gateway_, alice_, "again", std::nullopt);
  roster_.down = true;
  gateway_.Send(*eve, Message(again.jid, "m1"));
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
  roster_.down = false;
  clock_.Advance(std::chrono::seconds(3));
  gateway_.Send(*eve, Message(again.jid, "m2"));
  Settle();
  gateway_.Send(*bob, Message(again.jid, "m3"));
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2"));
}

}  // namespace
}  // namespace rookery::session_manager
