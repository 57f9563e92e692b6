#include "domain/presence/caps_tracker.h"

#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"
#include "domain/presence/caps_hash.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::string_view kInfo = "http://jabber.org/protocol/disco#info";
constexpr std::string_view kCaps = "http://jabber.org/protocol/caps";
constexpr char kNotify[] = "urn:xmpp:avatar:metadata+notify";

class CapsTrackerTest : public Cluster {
 protected:
  CapsTrackerTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
  }
  static xmpp::Element Info(const std::vector<std::string>& features) {
    xmpp::Element query("query", kInfo);
    query.Add("identity").SetAttr("category", "client").SetAttr("type", "pc");
    for (const std::string& feature : features) query.Add("feature").SetAttr("var", feature);
    return query;
  }
  static std::string VerOf(const std::vector<std::string>& features) {
    return *CapsVer(Info(features), "sha-1");
  }
  static xmpp::Stanza WithCaps(const std::string& ver, const std::string& hash = "sha-1") {
    xmpp::Stanza presence = Presence();
    xmpp::Element c("c", kCaps);
    if (!hash.empty()) c.SetAttr("hash", hash);
    c.SetAttr("node", "urn:client").SetAttr("ver", ver);
    xmpp::SetPayload(presence, c);
    return presence;
  }
  /// Requests to the client that came since the last look.
  static std::vector<xmpp::Stanza> Asked(Client& client) {
    return Only(client.Take(), STANZA_KIND_IQ, "get");
  }
  Client& Announce(const std::string& user, const std::string& resource, const xmpp::Stanza& presence) {
    Client& client = gateway_.Start(user, resource);
    Settle();
    gateway_.Send(client, presence);
    Settle();
    return client;
  }
  void Answer(Client& client, const xmpp::Stanza& request, const std::vector<std::string>& features) {
    xmpp::Stanza result = xmpp::MakeResult(request, Info(features));
    client.gateway->Send(client, result);
    Settle();
  }
  Session& SessionOf(int number, const Client& client) {
    return *node(number).domain.table().Find(SessionId(client.id));
  }
  const std::vector<std::string>* Features(const Client& client, int number = 0) {
    return CapsTracker::FeaturesOf(SessionOf(number, client));
  }
  Gateway& gateway_;
  std::string alice_, bob_;
  const std::vector<std::string> features_{kNotify, std::string(kInfo)};
};

TEST_F(CapsTrackerTest, AsksOnce_BelievesWhatHashes_ForAllSessions) {
  const std::string ver = VerOf(features_);
  Client& alice = Announce(alice_, "a", WithCaps(ver));
  const auto asked = Asked(alice);
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0].from(), alice_);
  EXPECT_EQ(asked[0].to(), alice_ + "/a");
  EXPECT_THAT(asked[0].payload(), HasSubstr("urn:client#" + ver));
  // Somebody else with the same client is not asked: one is enough.
  Client& bob = Announce(bob_, "b", WithCaps(ver));
  EXPECT_THAT(Asked(bob), IsEmpty());
  EXPECT_EQ(Features(alice), nullptr);
  Answer(alice, asked[0], features_);
  ASSERT_NE(Features(alice), nullptr);
  EXPECT_THAT(*Features(alice), Contains(kNotify));
  EXPECT_EQ(Features(bob), Features(alice));
  // And it is remembered.
  Client& other = Announce(bob_, "c", WithCaps(ver));
  EXPECT_THAT(Asked(other), IsEmpty());
  EXPECT_NE(Features(other), nullptr);
  // The answer was for the server; the client's stanzas are confirmed as ever.
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(CapsTrackerTest, AWrongAnswerPoisonsNobody_AndAnotherIsAsked) {
  const std::string ver = VerOf(features_);
  Client& eve = Announce(alice_, "e", WithCaps(ver));
  Client& bob = Announce(bob_, "b", WithCaps(ver));
  bob.inbox.clear();
  Answer(eve, Asked(eve)[0], {"urn:forged"});
  EXPECT_EQ(Features(eve), nullptr);
  EXPECT_EQ(Features(bob), nullptr);
  Elapse(std::chrono::milliseconds(500));
  const auto asked = Asked(bob);
  ASSERT_THAT(asked, SizeIs(1));
  Answer(bob, asked[0], features_);
  EXPECT_NE(Features(bob), nullptr);
  EXPECT_EQ(Features(eve), nullptr);
}

TEST_F(CapsTrackerTest, AnswersOfOthersAndToOtherQuestionsCountForNothing) {
  const std::string ver = VerOf(features_);
  Client& alice = Announce(alice_, "a", WithCaps(ver));
  Client& second = Announce(alice_, "a2", WithCaps(ver));
  const xmpp::Stanza request = Asked(alice)[0];
  Answer(second, request, features_);  // not the one who was asked
  EXPECT_EQ(Features(alice), nullptr);
  xmpp::Stanza other = request;
  other.set_id("guess");
  Answer(alice, other, features_);
  EXPECT_EQ(Features(alice), nullptr);
  Answer(alice, request, features_);
  EXPECT_NE(Features(alice), nullptr);
}

TEST_F(CapsTrackerTest, WithoutHash_NotTrustedAndNotAsked) {
  const std::string ver = VerOf(features_);
  Client& old = Announce(alice_, "old", WithCaps(ver, ""));
  Client& odd = Announce(alice_, "odd", WithCaps(ver, "md5"));
  EXPECT_THAT(Asked(old), IsEmpty());
  EXPECT_THAT(Asked(odd), IsEmpty());
  Client& good = Announce(alice_, "good", WithCaps(ver));
  Answer(good, Asked(good)[0], features_);
  EXPECT_NE(Features(good), nullptr);
  EXPECT_EQ(Features(old), nullptr);
}

TEST_F(CapsTrackerTest, ErrorOrSilence_TheNextIsAsked) {
  const std::string ver = VerOf(features_);
  Client& one = Announce(alice_, "1", WithCaps(ver));
  Client& two = Announce(alice_, "2", WithCaps(ver));
  Client& three = Announce(alice_, "3", WithCaps(ver));
  gateway_.Send(one, xmpp::MakeError(Asked(one)[0], xmpp::ErrorCondition::kServiceUnavailable));
  Settle();
  two.inbox.clear();
  three.inbox.clear();
  Elapse(std::chrono::seconds(1));
  std::vector<xmpp::Stanza> second = Asked(two), third = Asked(three);
  ASSERT_EQ(second.size() + third.size(), 1u);
  Elapse(std::chrono::seconds(32));
  Client& last = second.empty() ? two : three;
  const auto asked = Asked(last);
  ASSERT_THAT(asked, SizeIs(1));
  Answer(last, asked[0], features_);
  EXPECT_NE(Features(last), nullptr);
  EXPECT_EQ(Features(one), nullptr);
}

TEST_F(CapsTrackerTest, NewAnnouncementsReplaceOldOnes) {
  const std::vector<std::string> more{kNotify, std::string(kInfo), "urn:more"};
  Client& alice = Announce(alice_, "a", WithCaps(VerOf(features_)));
  const xmpp::Stanza first = Asked(alice)[0];
  gateway_.Send(alice, WithCaps(VerOf(more)));
  Settle();
  const auto asked = Asked(alice);
  ASSERT_THAT(asked, SizeIs(1));
  Answer(alice, first, features_);  // too late
  EXPECT_EQ(Features(alice), nullptr);
  Answer(alice, asked[0], more);
  EXPECT_THAT(*Features(alice), Contains("urn:more"));
  // Away without <c/>, then unavailable.
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_EQ(Features(alice), nullptr);
  gateway_.Send(alice, WithCaps(VerOf(more)));
  Settle();
  EXPECT_NE(Features(alice), nullptr);
  gateway_.Send(alice, Presence("unavailable"));
  Settle();
  EXPECT_EQ(Features(alice), nullptr);
}

TEST_F(CapsTrackerTest, SurviveResumption) {
  Client& alice = Announce(alice_, "a", WithCaps(VerOf(features_)));
  gateway_.EnableStreamManagement(alice);
  Answer(alice, Asked(alice)[0], features_);
  gateway_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_NE(Features(alice), nullptr);
  Client& back = gateway_.Resume(alice, static_cast<std::uint32_t>(alice.last_seq - alice.base_seq));
  Settle();
  EXPECT_NE(Features(back), nullptr);
  EXPECT_THAT(Asked(back), IsEmpty());
}

TEST_F(CapsTrackerTest, ANewOwnerAsksAgain) {
  Client& alice = Announce(alice_, "a", WithCaps(VerOf(features_)));
  Answer(alice, Asked(alice)[0], features_);
  Kill(0);
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  const auto asked = Asked(alice);
  ASSERT_THAT(asked, SizeIs(1));
  Answer(alice, asked[0], features_);
  EXPECT_NE(Features(alice, 1), nullptr);
}

TEST_F(CapsTrackerTest, ParkedDuringAChangeOfOwner_AskedWhenTheClientIsBack) {
  Client& alice = Announce(alice_, "a", WithCaps(VerOf(features_)));
  gateway_.EnableStreamManagement(alice);
  Answer(alice, Asked(alice)[0], features_);
  gateway_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(alice.parked);
  Kill(0);
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  EXPECT_EQ(Features(alice, 1), nullptr);
  Client& back = gateway_.Resume(alice, static_cast<std::uint32_t>(alice.last_seq - alice.base_seq));
  Settle();
  const auto asked = Asked(back);
  ASSERT_THAT(asked, SizeIs(1));
  Answer(back, asked[0], features_);
  EXPECT_NE(Features(back, 1), nullptr);
}

TEST_F(CapsTrackerTest, TheAskedSessionEnds_AnotherIsAsked) {
  const std::string ver = VerOf(features_);
  Client& alice = Announce(alice_, "a", WithCaps(ver));
  Client& bob = Announce(bob_, "b", WithCaps(ver));
  bob.inbox.clear();
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::milliseconds(500));
  EXPECT_THAT(Asked(bob), SizeIs(1));
}

TEST_F(CapsTrackerTest, WhatIsRememberedIsBounded) {
  Client& alice = Announce(alice_, "a", Presence());
  for (int i = 0; i < 1'050; ++i) {
    const std::vector<std::string> features{"urn:" + std::to_string(i)};
    gateway_.Send(alice, WithCaps(VerOf(features)));
    Settle();
    const auto asked = Asked(alice);
    ASSERT_THAT(asked, SizeIs(1));
    Answer(alice, asked[0], features);
    ASSERT_NE(Features(alice), nullptr);
    if (i == 0) Announce(bob_, "b", WithCaps(VerOf(features)));
  }
  EXPECT_EQ(node(0).domain.caps().known(), 1'000u);
  // The first went first, but stays with who uses it.
  const auto* remembered =
      CapsTracker::FeaturesOf(*node(0).domain.shards().Find(1)->FindUser(bob_)->sessions[0]);
  ASSERT_NE(remembered, nullptr);
  EXPECT_THAT(*remembered, ElementsAre("urn:0"));
  std::vector<std::string> huge;
  for (int i = 0; i < 400; ++i) huge.push_back("urn:" + std::to_string(i) + std::string(100, 'x'));
  gateway_.Send(alice, WithCaps(VerOf(huge)));
  Settle();
  Answer(alice, Asked(alice)[0], huge);
  EXPECT_EQ(Features(alice), nullptr);
}

TEST_F(CapsTrackerTest, OurOwn_InTheHelloAndInDisco) {
  class Peer final : public GatewayPeer {
   public:
    const std::string& instance() const override { return name_; }
    const Incarnation& incarnation() const override { return life_; }
    session::v1::SessionManagerAction& Add() override { return actions.emplace_back(); }
    bool is_congested() const override { return false; }
    void Close() override {}
    std::deque<session::v1::SessionManagerAction> actions;

   private:
    std::string name_ = "gw-9";
    Incarnation life_;
  } peer;
  node(0).domain.sessions().OnGatewayLinked(peer);
  ASSERT_TRUE(peer.actions.front().has_hello());
  const auto& hello = peer.actions.front().hello();
  node(0).domain.sessions().OnGatewayLost(peer);
  EXPECT_EQ(hello.resumption_timeout_s(), 300u);
  ASSERT_EQ(hello.caps_size(), 1);
  EXPECT_EQ(hello.caps(0).domain(), "localhost");

  Client& alice = Announce(alice_, "a", Presence());
  const auto ask = [&](const std::string& node) {
    alice.inbox.clear();
    xmpp::Stanza iq = Iq("get", "localhost", "1", "query", kInfo);
    xmpp::Element query("query", kInfo);
    if (!node.empty()) query.SetAttr("node", node);
    xmpp::SetPayload(iq, query);
    gateway_.Send(alice, iq);
    Settle();
    return alice.inbox.at(0);
  };
  const std::string node = hello.caps(0).caps_node() + "#" + hello.caps(0).caps_ver();
  const xmpp::Stanza plain = ask(""), named = ask(node);
  ASSERT_EQ(named.type(), "result");
  EXPECT_THAT(named.payload(), HasSubstr("node=\"" + node + "\""));
  for (const xmpp::Stanza* result : {&plain, &named}) {
    auto query = xmpp::ParsePayload(result->payload());
    EXPECT_EQ(CapsVer(query->front(), "sha-1"), hello.caps(0).caps_ver());
  }
  EXPECT_EQ(ask(hello.caps(0).caps_node() + "#old").type(), "error");
}

}  // namespace
}  // namespace rookery::session_manager
