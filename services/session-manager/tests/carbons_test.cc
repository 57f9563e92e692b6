// XEP-0280 (Message Carbons): section 6.1's rules, and who gets which copy.
#include "domain/delivery/carbons.h"

#include <gmock/gmock.h>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_MESSAGE;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class CarbonsTest : public Cluster {
 protected:
  CarbonsTest() : Cluster(1), gateway_(AddGateway("gw-1")) {
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
  }
  /// A session with copies on.
  Client& Copied(const std::string& user, const std::string& resource, int priority = 0) {
    Client& client = SignIn(gateway_, user, resource, priority);
    Carbons(client);
    return client;
  }
  void Forget(std::initializer_list<Client*> clients) {
    Settle();
    for (Client* client : clients) client->inbox.clear();
  }
  xmpp::Stanza ErrorFor(const xmpp::Stanza& message, const std::string& to) {
    xmpp::Stanza error = xmpp::MakeMessage("error", {}, to);
    error.set_id(message.id());
    xmpp::Element element("error", "jabber:client");
    element.SetAttr("type", "cancel");
    element.Add("service-unavailable", "urn:ietf:params:xml:ns:xmpp-stanzas");
    xmpp::SetPayload(error, element);
    return error;
  }
  Gateway& gateway_;
  std::string alice_;
  std::string bob_;
};

TEST_F(CarbonsTest, ReceivedGoToTheOthersThatAsked) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& desk = SignIn(gateway_, bob_, "desk");
  Client& plain = SignIn(gateway_, bob_, "plain");
  Carbons(phone);
  Carbons(desk);
  for (Client* client : {&phone, &desk, &plain}) client->inbox.clear();
  gateway_.Send(alice, Message(bob_ + "/phone", "m1"));
  Settle();
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(plain.inbox, IsEmpty());
  ASSERT_EQ(desk.inbox.size(), 1u);
  const xmpp::Stanza& copy = desk.inbox[0];
  EXPECT_EQ(copy.from(), bob_);
  EXPECT_EQ(copy.to(), bob_ + "/desk");
  EXPECT_EQ(copy.type(), "chat");
  EXPECT_THAT(copy.payload(),
              HasSubstr("<received xmlns=\"urn:xmpp:carbons:2\"><forwarded xmlns=\"urn:xmpp:forward:0\">"));
  EXPECT_THAT(copy.payload(), HasSubstr("text of m1"));
  // The same stanza-id in the copy as in the message (appendix D).
  EXPECT_THAT(copy.payload(), HasSubstr("stanza-id"));
  EXPECT_TRUE(xmpp::ParsePayload(copy.payload()).ok());
}

TEST_F(CarbonsTest, SentGoToTheOthersOnly) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = SignIn(gateway_, alice_, "two");
  Client& bob = SignIn(gateway_, bob_, "b");
  Carbons(one);
  Carbons(two);
  for (Client* client : {&one, &two, &bob}) client->inbox.clear();
  gateway_.Send(one, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(one.inbox, IsEmpty());
  ASSERT_EQ(two.inbox.size(), 1u);
  EXPECT_THAT(two.inbox[0].payload(), HasSubstr("<sent xmlns=\"urn:xmpp:carbons:2\">"));
  EXPECT_EQ(two.inbox[0].from(), alice_);
  EXPECT_EQ(two.inbox[0].to(), alice_ + "/two");
  EXPECT_EQ(two.inbox[0].type(), "chat");
  // With the id that it has in alice's archive.
  EXPECT_THAT(two.inbox[0].payload(), HasSubstr("by=\"" + alice_ + "\""));
}

TEST_F(CarbonsTest, ToOneself_NoDoubleCopy) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = SignIn(gateway_, alice_, "two", 5);
  Carbons(one);
  Carbons(two);
  for (Client* client : {&one, &two}) client->inbox.clear();
  gateway_.Send(one, Message(alice_ + "/two", "m1"));
  Settle();
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(one.inbox, IsEmpty()) << "it has sent it";
  EXPECT_EQ(log_.messages.size(), 1u);
}

TEST_F(CarbonsTest, PrivateStaysPrivate) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& desk = SignIn(gateway_, bob_, "desk");
  Carbons(desk);
  phone.inbox.clear();
  xmpp::Stanza message = Message(bob_ + "/phone", "m1");
  xmpp::AddPayload(message, xmpp::Element("private", "urn:xmpp:carbons:2"));
  gateway_.Send(alice, message);
  Settle();
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(phone.inbox.back().payload(), Not(HasSubstr("private")));
  EXPECT_THAT(desk.inbox, IsEmpty());
}

TEST_F(CarbonsTest, Private_SentStaysPrivateToo) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = Copied(alice_, "two");
  Client& bob = SignIn(gateway_, bob_, "b");
  Forget({&one, &two});
  for (const auto& [name, ns] :
       {std::pair("private", "urn:xmpp:carbons:2"), std::pair("no-copy", "urn:xmpp:hints")}) {
    xmpp::Stanza message = Message(bob_, name);
    xmpp::AddPayload(message, xmpp::Element(name, ns));
    gateway_.Send(one, message);
  }
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("private", "no-copy"));
  EXPECT_THAT(two.inbox, IsEmpty());
}

TEST_F(CarbonsTest, ToOneself_TheThirdResourceGetsOneCopy) {
  Client& one = Copied(alice_, "one");
  Client& two = Copied(alice_, "two", 5);
  Client& three = Copied(alice_, "three");
  Forget({&one, &two, &three});
  gateway_.Send(one, Message(alice_, "m1"));
  Settle();
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(one.inbox, IsEmpty());
  EXPECT_EQ(three.inbox.size(), 1u);
}

TEST_F(CarbonsTest, BareJid_EachOfSeveralTargetsHasTheOriginalOnly) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& one = Copied(bob_, "one", 3);
  Client& two = Copied(bob_, "two", 3);
  Client& low = Copied(bob_, "low", 1);
  Client& negative = Copied(bob_, "negative", -1);
  Forget({&one, &two, &low, &negative});
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(one.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
  for (Client* client : {&low, &negative}) {
    ASSERT_EQ(client->inbox.size(), 1u);
    EXPECT_THAT(client->inbox[0].payload(), HasSubstr("<received"));
  }
}

TEST_F(CarbonsTest, DisabledAgain_NoCopies) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone", 5);
  Client& desk = Copied(bob_, "desk");
  gateway_.Send(alice, Message(bob_ + "/phone", "m0"));
  Settle();
  EXPECT_EQ(desk.inbox.size(), 1u) << "before that it has a copy";
  gateway_.Send(desk, Iq("set", {}, "off", "disable", "urn:xmpp:carbons:2"));
  Forget({&phone, &desk});
  gateway_.Send(alice, Message(bob_ + "/phone", "m1"));
  Settle();
  EXPECT_THAT(desk.inbox, IsEmpty());
}

TEST_F(CarbonsTest, RoomsPrivateMessages_SentYes_ReceivedNo_InvitationsYes) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = Copied(alice_, "two");
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& desk = Copied(bob_, "desk");
  Forget({&one, &two, &phone, &desk});
  xmpp::Stanza message = Message(bob_ + "/phone", "m1");
  xmpp::AddPayload(message, xmpp::Element("x", "http://jabber.org/protocol/muc#user"));
  gateway_.Send(one, message);
  Settle();
  EXPECT_EQ(two.inbox.size(), 1u);
  EXPECT_THAT(desk.inbox, IsEmpty());
  xmpp::Stanza direct = xmpp::MakeMessage("", {}, bob_ + "/phone");
  xmpp::SetPayload(direct, xmpp::Element("x", "jabber:x:conference"));
  gateway_.Send(one, direct);
  xmpp::Stanza mediated = xmpp::MakeMessage("", {}, bob_ + "/phone");
  xmpp::Element x("x", "http://jabber.org/protocol/muc#user");
  x.Add("invite");
  xmpp::SetPayload(mediated, x);
  gateway_.Send(one, mediated);
  Settle();
  EXPECT_EQ(desk.inbox.size(), 2u);
  EXPECT_EQ(two.inbox.size(), 3u);
}

TEST_F(CarbonsTest, Error_FollowsTheOriginalThatWasSent) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = Copied(alice_, "two");
  Client& bob = SignIn(gateway_, bob_, "b");
  Forget({&one, &two, &bob});
  const xmpp::Stanza message = Message(bob_ + "/b", "m1");
  gateway_.Send(one, message);
  Settle();
  ASSERT_EQ(two.inbox.size(), 1u);
  // From bob's client.
  gateway_.Send(bob, ErrorFor(message, alice_ + "/one"));
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_MESSAGE, "error").size(), 1u);
  ASSERT_EQ(two.inbox.size(), 2u);
  EXPECT_EQ(two.inbox[1].type(), "error");
  EXPECT_EQ(two.inbox[1].from(), alice_);
  EXPECT_THAT(two.inbox[1].payload(), HasSubstr("<received"));
}

TEST_F(CarbonsTest, Error_OfTheServer_FollowsTheOriginal) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = Copied(alice_, "two");
  Forget({&one, &two});
  gateway_.Send(one, Message("nobody@localhost", "m1"));
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_MESSAGE, "error").size(), 1u);
  ASSERT_EQ(two.inbox.size(), 2u);
  EXPECT_THAT(two.inbox[0].payload(), HasSubstr("<sent"));
  EXPECT_THAT(two.inbox[1].payload(), HasSubstr("service-unavailable"));
}

TEST_F(CarbonsTest, Error_TheSenderHasGone_TheOthersLearnOfIt) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = Copied(alice_, "two");
  Client& bob = SignIn(gateway_, bob_, "b");
  const xmpp::Stanza message = Message(bob_ + "/b", "m1");
  gateway_.Send(one, message);
  Settle();
  gateway_.End(one, session::v1::END_REASON_CLOSED);
  Forget({&two});
  gateway_.Send(bob, ErrorFor(message, alice_ + "/one"));
  Settle();
  ASSERT_EQ(two.inbox.size(), 1u);
  EXPECT_EQ(two.inbox[0].type(), "error");
}

TEST_F(CarbonsTest, Error_FollowsTheOriginalThatWasReceived) {
  // bob's phone answers alice's message with an error; his desk has a copy of the message.
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& desk = Copied(bob_, "desk");
  Forget({&alice, &phone, &desk});
  const xmpp::Stanza message = Message(bob_ + "/phone", "m1");
  gateway_.Send(alice, message);
  Settle();
  ASSERT_EQ(desk.inbox.size(), 1u);
  gateway_.Send(phone, ErrorFor(message, alice_ + "/a"));
  Settle();
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_MESSAGE, "error").size(), 1u);
  ASSERT_EQ(desk.inbox.size(), 2u);
  EXPECT_EQ(desk.inbox[1].type(), "error");
  EXPECT_THAT(desk.inbox[1].payload(), HasSubstr("<sent"));
}

TEST_F(CarbonsTest, Error_OfWhatWasNotCopied_IsNotCopied) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = Copied(alice_, "two");
  Client& bob = SignIn(gateway_, bob_, "b");
  Forget({&one, &two, &bob});
  xmpp::Stanza message = Message(bob_ + "/b", "m1");
  xmpp::AddPayload(message, xmpp::Element("private", "urn:xmpp:carbons:2"));
  gateway_.Send(one, message);
  gateway_.Send(one, Message(bob_ + "/b", "m2", "headline"));
  Settle();
  gateway_.Send(bob, ErrorFor(message, alice_ + "/one"));
  gateway_.Send(bob, ErrorFor(Message(bob_, "m2"), alice_ + "/one"));
  gateway_.Send(bob, ErrorFor(Message(bob_, "never-sent"), alice_ + "/one"));
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_MESSAGE, "error").size(), 3u);
  EXPECT_THAT(two.inbox, IsEmpty());
}

TEST_F(CarbonsTest, BounceOfACopy_ReachesNobody) {
  // Section 11.3: also when it does not say what it answers.
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& desk = Copied(bob_, "desk");
  Forget({&alice, &phone, &desk});
  gateway_.Send(alice, Message(bob_ + "/phone", "m1"));
  Settle();
  ASSERT_EQ(desk.inbox.size(), 1u);
  const xmpp::Stanza copy = desk.inbox[0];
  Forget({&alice, &phone, &desk});
  gateway_.Send(desk, ErrorFor(copy, copy.from()));
  Settle();
  EXPECT_THAT(alice.inbox, IsEmpty());
  EXPECT_THAT(phone.inbox, IsEmpty());
  EXPECT_THAT(desk.inbox, IsEmpty());
}

TEST_F(CarbonsTest, CopyOfASessionThatEnds_IsNotRoutedAnew) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone");
  Client& desk = Copied(bob_, "desk");
  Forget({&alice, &phone, &desk});
  desk.acks = false;
  gateway_.Send(alice, Message(bob_ + "/phone", "m1"));
  Settle();
  gateway_.End(desk, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(Only(alice.inbox, STANZA_KIND_MESSAGE), IsEmpty());
}

TEST_F(CarbonsTest, TurnedOnAndOffOnACongestedLink_OneStateWaits) {
  Client& desk = SignIn(gateway_, bob_, "desk");
  const int before = desk.states;
  gateway_.SetCongested(node(0), true);
  for (int i = 0; i < 25; ++i) {
    xmpp::Stanza iq = Iq("set", {}, "c", i % 2 == 0 ? "enable" : "disable", "urn:xmpp:carbons:2");
    gateway_.Send(desk, std::move(iq));
    Settle();
  }
  EXPECT_EQ(desk.states, before);
  gateway_.SetCongested(node(0), false);
  Settle();
  EXPECT_EQ(desk.states, before + 1);
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(desk.state));
  EXPECT_TRUE(state.carbons());
  EXPECT_EQ(desk.confirmed, desk.sent);
  Carbons(desk);
  EXPECT_EQ(desk.states, before + 1) << "they are on already";
}

TEST(CopiedMessages, RemembersTheLastOnes) {
  CopiedMessages copied;
  EXPECT_FALSE(copied.Contains("m", "bob@localhost"));
  copied.Add("m", "bob@localhost");
  copied.Add({}, "bob@localhost");
  EXPECT_TRUE(copied.Contains("m", "bob@localhost"));
  EXPECT_FALSE(copied.Contains("m", "carol@localhost"));
  EXPECT_FALSE(copied.Contains("mb", "ob@localhost"));
  EXPECT_FALSE(copied.Contains({}, "bob@localhost"));
  for (std::size_t i = 0; i < CopiedMessages::kMany; ++i) copied.Add(std::to_string(i), "x");
  EXPECT_FALSE(copied.Contains("m", "bob@localhost"));
  EXPECT_TRUE(copied.Contains("0", "x"));
}

}  // namespace
}  // namespace rookery::session_manager
