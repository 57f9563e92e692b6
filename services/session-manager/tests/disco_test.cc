#include <gmock/gmock.h>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kInfo = "http://jabber.org/protocol/disco#info";
constexpr std::string_view kItems = "http://jabber.org/protocol/disco#items";

class DiscoTest : public Cluster {
 protected:
  DiscoTest() : Cluster(1), gateway_(AddGateway("gw-1")) {
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    asker_ = &SignIn(gateway_, UserIn(0), "a");
  }
  xmpp::Stanza Ask(const std::string& to, std::string_view ns, std::string_view node = {}) {
    xmpp::Stanza iq = Iq("get", to, "q", "query", ns);
    if (!node.empty()) {
      xmpp::Element query("query", ns);
      query.SetAttr("node", node);
      xmpp::SetPayload(iq, query);
    }
    asker_->inbox.clear();
    gateway_.Send(*asker_, iq);
    Settle();
    EXPECT_EQ(asker_->confirmed, asker_->sent);
    EXPECT_EQ(asker_->inbox.size(), 1u);
    return asker_->inbox.empty() ? xmpp::Stanza() : asker_->inbox.front();
  }
  FakeServiceDisco& services() { return node(0).service_disco; }

  Gateway& gateway_;
  Client* asker_ = nullptr;
};

TEST_F(DiscoTest, TheDomainNamesServicesThatHaveFeatures) {
  const xmpp::Stanza items = Ask("localhost", kItems);
  EXPECT_EQ(items.type(), "result");
  EXPECT_THAT(items.payload(),
              AllOf(HasSubstr("jid=\"conference.localhost\""), HasSubstr("jid=\"search.localhost\"")));
}

// A client that is shown a room service tries to join.
TEST_F(DiscoTest, AServiceWithoutFeaturesOrOutOfReachIsNotNamed) {
  services().has_muc = false;
  services().features.clear();
  EXPECT_THAT(Ask("localhost", kItems).payload(), Not(HasSubstr("<item")));
  services().features = {"own-feature"};
  services().error = absl::UnavailableError("away");
  const xmpp::Stanza items = Ask("localhost", kItems);
  EXPECT_EQ(items.type(), "result");
  EXPECT_THAT(items.payload(), Not(HasSubstr("<item")));
}

TEST_F(DiscoTest, AServiceAnswersForItself) {
  const xmpp::Stanza info = Ask("search.localhost", kInfo);
  EXPECT_EQ(info.type(), "result");
  EXPECT_EQ(info.from(), "search.localhost");
  EXPECT_THAT(info.payload(), AllOf(HasSubstr("category=\"directory\""), HasSubstr("type=\"own-type\""),
                                    HasSubstr("var=\"own-feature\""), Not(HasSubstr("node="))));
  const xmpp::Stanza items = Ask("search.localhost", kItems);
  EXPECT_EQ(items.type(), "result");
  EXPECT_THAT(items.payload(), AllOf(HasSubstr("jid=\"room@search.localhost\""), HasSubstr("A room")));
  EXPECT_THAT(services().asked, ElementsAre("search search.localhost ", "search search.localhost "));
}

TEST_F(DiscoTest, TheNodeIsTheServicesMatter) {
  const xmpp::Stanza info = Ask("search.localhost", kInfo, "there");
  EXPECT_EQ(info.type(), "result");
  EXPECT_THAT(info.payload(), HasSubstr("node=\"there\""));
  EXPECT_THAT(Ask("search.localhost", kItems, "there").payload(), HasSubstr("node=\"there\""));
  EXPECT_THAT(services().asked,
              ElementsAre("search search.localhost there", "search search.localhost there"));
  services().error = absl::NotFoundError("no such node");
  for (const std::string_view ns : {kInfo, kItems}) {
    const xmpp::Stanza answer = Ask("search.localhost", ns, "nowhere");
    EXPECT_EQ(answer.type(), "error");
    EXPECT_THAT(answer.payload(), AllOf(HasSubstr("item-not-found"), HasSubstr("cancel")));
  }
}

TEST_F(DiscoTest, AServiceThatIsAwayIsNotAnsweredFor) {
  for (const absl::Status& away :
       {absl::UnavailableError("nobody owns the shard"), absl::DeadlineExceededError("frozen")}) {
    services().error = away;
    for (const std::string_view ns : {kInfo, kItems}) {
      const xmpp::Stanza answer = Ask("search.localhost", ns);
      EXPECT_EQ(answer.type(), "error");
      EXPECT_EQ(answer.from(), "search.localhost");
      EXPECT_THAT(answer.payload(), AllOf(HasSubstr("remote-server-timeout"), HasSubstr("type=\"wait\"")));
    }
  }
}

TEST_F(DiscoTest, UnknownNodesOfTheDomain_ItemNotFound) {
  for (const std::string_view ns : {kInfo, kItems})
    EXPECT_THAT(Ask("localhost", ns, "nowhere").payload(), HasSubstr("item-not-found"));
  EXPECT_THAT(services().asked, IsEmpty());
}

// RFC 6120 section 8.4: what nobody understands there is refused, whether or not the service runs.
TEST_F(DiscoTest, WhatServicesDoNotUnderstandIsRefused) {
  for (const char* to : {"search.localhost", "room@search.localhost"}) {
    asker_->inbox.clear();
    gateway_.Send(*asker_, Iq("set", to, "1", "query", "x:y"));
    gateway_.Send(*asker_, Message(to, "2", "groupchat"));
    gateway_.Send(*asker_, Presence({}, to));
    gateway_.Send(*asker_, Iq("result", to, "3"));
    gateway_.Send(*asker_, Message(to, "4", "error"));
    Settle();
    ASSERT_EQ(asker_->inbox.size(), 3u) << to;
    for (const xmpp::Stanza& answer : asker_->inbox) {
      EXPECT_EQ(answer.type(), "error");
      EXPECT_EQ(answer.from(), to);
      EXPECT_THAT(answer.payload(), HasSubstr("service-unavailable"));
    }
  }
  EXPECT_THAT(services().asked, IsEmpty());
}

}  // namespace
}  // namespace rookery::session_manager
