#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"
#include "rookery/events/homes.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_MESSAGE;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class DeliveryTest : public Cluster {
 protected:
  DeliveryTest() : Cluster(1), gateway_(AddGateway("gw-1")) {
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
  }
  /// "from stamp" of each delay (XEP-0203) in the message.
  static std::vector<std::string> DelaysOf(const Client& client, const std::string& id) {
    std::vector<std::string> delays;
    for (const xmpp::Stanza& stanza : client.inbox) {
      if (stanza.id() != id) continue;
      const auto children = xmpp::ParsePayload(stanza.payload());
      for (const xmpp::Element& child : *children)
        if (child.Is("delay", "urn:xmpp:delay"))
          delays.push_back(std::string(child.Attr("from")) + " " + std::string(child.Attr("stamp")));
    }
    return delays;
  }
  /// Returns the ids that the client was told are refused, in order.
  static std::vector<std::string> Refused(const Client& client) {
    std::vector<std::string> ids;
    for (const xmpp::Stanza& stanza : Only(client.inbox, STANZA_KIND_MESSAGE, "error")) {
      EXPECT_THAT(stanza.payload(), HasSubstr("resource-constraint"));
      EXPECT_THAT(stanza.payload(), HasSubstr("type=\"wait\""));
      ids.push_back(stanza.id());
    }
    return ids;
  }
  /// Signs in somebody who writes to bob. A contact is in bob's roster, a stranger is not.
  Client& Writer(int n, bool is_contact) {
    const std::string user = UserIn(0, n);
    if (is_contact) roster_.rosters[bob_][user].from = true;
    return SignIn(gateway_, user, "r");
  }
  void SayBig(Client& from, const std::string& id, std::size_t bytes) {
    xmpp::Stanza message = Message(bob_, id);
    message.set_payload("<body>" + std::string(bytes, 'x') + "</body>");
    gateway_.Send(from, std::move(message));
    Settle();
  }
  Shard& ShardOfBob() { return *node(0).domain.shards().Find(1); }
  Gateway& gateway_;
  std::string alice_;
  std::string bob_;
};

TEST_F(DeliveryTest, P3_TheCursorPassesWhenTheClientHasIt) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  const std::int64_t before = ShardOfBob().window.cursor();
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_EQ(ShardOfBob().window.cursor(), before);
  gateway_.Deliver(bob, bob.last_seq);
  Settle();
  EXPECT_EQ(ShardOfBob().window.cursor(), before + 1);
}

TEST_F(DeliveryTest, P3_ASilentClientDoesNotHoldTheCursorForLong) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  const std::int64_t stuck = ShardOfBob().window.cursor();
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_GT(ShardOfBob().window.cursor(), stuck);
  EXPECT_EQ(database_.Packets(bob_, bob.id), 1u);
  gateway_.Deliver(bob, bob.last_seq);
  Settle();
  EXPECT_EQ(database_.Packets(bob_, bob.id), 0u);
}

TEST_F(DeliveryTest, AbsurdDeliveredIsBounded) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Deliver(bob, ~0ull);
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
}

TEST_F(DeliveryTest, Offline_StoredAndGivenOldestFirst) {
  Client& alice = SignIn(gateway_, alice_, "a");
  for (int i = 1; i <= 5; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 5u);
  EXPECT_EQ(ShardOfBob().window.size(), 0u);

  Client& bob = gateway_.Start(bob_, "b");
  Settle();
  EXPECT_THAT(bob.inbox, IsEmpty());
  gateway_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3", "m4", "m5"));
  for (const xmpp::Stanza& message : Only(bob.inbox, STANZA_KIND_MESSAGE)) {
    EXPECT_THAT(message.payload(), HasSubstr("urn:xmpp:delay"));
    EXPECT_THAT(message.payload(), HasSubstr("stanza-id"));
  }
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(DeliveryTest, Offline_MarkedOnlyWhenTheClientHasThem) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  Client& bob = gateway_.Start(bob_, "b");
  bob.acks = false;
  Settle();
  gateway_.Send(bob, Presence());
  Settle();
  EXPECT_EQ(bob.MessageIds().size(), 2u);
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  for (const auto& packet : std::deque(bob.unacked))
    if (packet.stored_id() != 0) {
      gateway_.Deliver(bob, packet.seq());
      break;
    }
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 1u);
  // The client goes without having had the second one: its next session gets it.
  gateway_.End(bob, session::v1::END_REASON_CLOSED);
  Settle();
  Client& again = gateway_.Start(bob_, "b");
  Settle();
  gateway_.Send(again, Presence());
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m2"));
}

TEST_F(DeliveryTest, Offline_NotToNegativePriority) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b", -1);
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 1u);
  gateway_.Send(bob, Presence({}, {}, 1));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
}

TEST_F(DeliveryTest, Offline_MessagesThatArriveMeanwhileComeAfter) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  Client& bob = gateway_.Start(bob_, "b");
  Settle();
  gateway_.Send(bob, Presence());
  gateway_.Send(alice, Message(bob_, "m2"));
  gateway_.Send(alice, Message(bob_ + "/b", "m3"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(DeliveryTest, Offline_QuotaBounces) {
  node(0).settings.max_offline_messages = 8;
  Client& alice = SignIn(gateway_, alice_, "a");
  for (int i = 1; i <= 3; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_EQ(alice.inbox[0].type(), "error");
  EXPECT_EQ(alice.inbox[0].id(), "m3");
  EXPECT_THAT(alice.inbox[0].payload(), HasSubstr("resource-constraint"));
}

TEST_F(DeliveryTest, Offline_StrangersLeaveHalfOfTheRoomToContacts) {
  node(0).settings.max_offline_messages = 16;
  // Many whom the recipient does not know, and one contact.
  std::vector<Client*> strangers;
  for (int i = 0; i < 6; ++i) strangers.push_back(&SignIn(gateway_, UserIn(0, i + 1), "s"));
  Client& alice = SignIn(gateway_, alice_, "a");
  roster_.rosters[bob_][alice_].from = true;
  for (int round = 0; round < 10; ++round)
    for (Client* stranger : strangers) gateway_.Send(*stranger, Message(bob_, "spam"));
  Settle();
  EXPECT_LE(database_.Waiting(bob_), 8u);
  const std::size_t before = database_.Waiting(bob_);
  for (int i = 0; i < 2; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), before + 2);
  EXPECT_THAT(alice.inbox, IsEmpty());
  const int asked = roster_.gets;
  for (Client* stranger : strangers) gateway_.Send(*stranger, Message(bob_, "spam"));
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), before + 2);
  EXPECT_EQ(roster_.gets, asked) << "they are known for a while";
}

TEST_F(DeliveryTest, Offline_ASenderHasHalfOfTheMessagesThatOthersLeave) {
  node(0).settings.max_offline_messages = 16;
  Client& alice = Writer(0, /*is_contact=*/true);
  Client& carol = Writer(1, /*is_contact=*/true);
  for (int i = 0; i < 12; ++i) gateway_.Send(alice, Message(bob_, "a" + std::to_string(i)));
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 8u);
  EXPECT_THAT(Refused(alice), ElementsAre("a8", "a9", "a10", "a11"));
  for (int i = 0; i < 6; ++i) gateway_.Send(carol, Message(bob_, "c" + std::to_string(i)));
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 8u + 4u);
  EXPECT_THAT(Refused(carol), ElementsAre("c4", "c5"));
}

TEST_F(DeliveryTest, Offline_ASenderHasHalfOfTheBytesThatOthersLeave) {
  node(0).settings.max_offline_bytes = 40'000;
  Client& alice = Writer(0, /*is_contact=*/true);
  Client& carol = Writer(1, /*is_contact=*/true);
  for (const char* id : {"a0", "a1", "a2"}) SayBig(alice, id, 10'000);
  EXPECT_THAT(Refused(alice), ElementsAre("a1", "a2"));
  for (const char* id : {"c0", "c1"}) SayBig(carol, id, 10'000);
  EXPECT_THAT(Refused(carol), ElementsAre("c1"));
  SayBig(alice, "small", 100);
  EXPECT_THAT(Refused(alice), ElementsAre("a1", "a2"));
  Client& bob = gateway_.Start(bob_, "b");
  Settle();
  gateway_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("a0", "c0", "small"));
}

TEST_F(DeliveryTest, Offline_StrangersLeaveHalfOfTheBytesToContacts) {
  node(0).settings.max_offline_bytes = 80'000;
  Client& one = Writer(0, /*is_contact=*/false);
  Client& another = Writer(1, /*is_contact=*/false);
  Client& third = Writer(2, /*is_contact=*/false);
  Client& contact = Writer(3, /*is_contact=*/true);
  for (const char* id : {"o0", "o1"}) SayBig(one, id, 10'000);
  EXPECT_THAT(Refused(one), ElementsAre("o1"));
  SayBig(another, "a0", 10'000);
  EXPECT_THAT(Refused(another), IsEmpty());
  SayBig(third, "t0", 10'000);
  EXPECT_THAT(Refused(third), ElementsAre("t0"));
  SayBig(contact, "c0", 10'000);
  EXPECT_THAT(Refused(contact), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 3u);
}

TEST_F(DeliveryTest, NoSuchAccount) {
  Client& alice = SignIn(gateway_, alice_, "a");
  const std::string nobody = "nobody@localhost";
  gateway_.Send(alice, Message(nobody, "chat"));
  gateway_.Send(alice, Message(nobody, "normal", ""));
  gateway_.Send(alice, Message(nobody, "groupchat", "groupchat"));
  gateway_.Send(alice, Message(nobody, "headline", "headline"));
  gateway_.Send(alice, Message(nobody, "error", "error"));
  Settle();
  std::vector<std::string> bounced;
  for (const xmpp::Stanza& stanza : alice.inbox) {
    EXPECT_EQ(stanza.type(), "error");
    EXPECT_THAT(stanza.payload(), HasSubstr("service-unavailable"));
    bounced.push_back(stanza.id());
  }
  EXPECT_THAT(bounced, ::testing::UnorderedElementsAre("chat", "normal", "groupchat"));
  EXPECT_EQ(node(0).domain.shards().Find(events::ShardOfAccount(nobody, kShards))->FindUser(nobody), nullptr);
}

TEST_F(DeliveryTest, NoStore_BouncesWithBody_SilentWithout) {
  Client& alice = SignIn(gateway_, alice_, "a");
  xmpp::Stanza message = Message(bob_, "m1");
  xmpp::AddPayload(message, xmpp::Element("no-store", "urn:xmpp:hints"));
  ASSERT_TRUE(xmpp::Has(message, common::v1::STANZA_TRAIT_NO_STORE));
  gateway_.Send(alice, message);
  xmpp::Stanza state = xmpp::MakeMessage("chat", {}, bob_);
  xmpp::SetPayload(state, xmpp::Element("composing", "http://jabber.org/protocol/chatstates"));
  gateway_.Send(alice, state);
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_EQ(alice.inbox[0].id(), "m1");
}

TEST_F(DeliveryTest, Offline_DatabaseAway_NothingIsLost) {
  Client& alice = SignIn(gateway_, alice_, "a");
  database_.down = true;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_EQ(alice.confirmed, 2u);
  EXPECT_EQ(ShardOfBob().window.size(), 1u);
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(bob_) == 1; }));
  Settle();
  EXPECT_EQ(ShardOfBob().window.size(), 0u);
}

TEST_F(DeliveryTest, Offline_StoredJustBeforeSignIn_IsNotMissed) {
  Client& alice = SignIn(gateway_, alice_, "a");
  database_.down = true;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  Client& bob = gateway_.Start(bob_, "b");
  Settle();
  gateway_.Send(bob, Presence());
  Settle();
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == 1; }));
}

TEST_F(DeliveryTest, ArchivableMessagesAreEvents) {
  Client& alice = SignIn(gateway_, alice_, "a");
  SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Message(bob_, "m2", "headline"));
  Settle();
  // One in the history of each; the headline in none.
  ASSERT_EQ(log_.messages.size(), 2u);
  if (log_.messages[0].owner() != bob_) std::swap(log_.messages[0], log_.messages[1]);
  EXPECT_EQ(log_.messages[0].owner(), bob_);
  EXPECT_EQ(log_.messages[0].direction(), events::v1::MESSAGE_DIRECTION_RECEIVED);
  EXPECT_EQ(log_.messages[1].owner(), alice_);
  EXPECT_EQ(log_.messages[1].direction(), events::v1::MESSAGE_DIRECTION_SENT);
  EXPECT_EQ(log_.messages[0].stanza().id(), "m1");
  EXPECT_EQ(log_.messages[0].archive_id(), static_cast<std::uint64_t>(log_.messages[0].source_offset()) + 1);
  EXPECT_THAT(log_.messages[0].stanza().payload(), Not(HasSubstr("stanza-id")));
}

TEST_F(DeliveryTest, AnArchivableMessageIsUnfinishedUntilTheLogHasTheEvent) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  const std::int64_t before = ShardOfBob().window.cursor();
  log_.held = true;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  log_.Flush();  // the message for him, and the one for her own history
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(log_.messages, IsEmpty());
  EXPECT_EQ(ShardOfBob().window.cursor(), before);
  log_.held = false;
  Settle();
  EXPECT_EQ(log_.messages.size(), 2u);
  EXPECT_EQ(ShardOfBob().window.cursor(), before + 1);
}

TEST_F(DeliveryTest, ARefusedEventIsSaidAgain) {
  Client& alice = SignIn(gateway_, alice_, "a");
  SignIn(gateway_, bob_, "b");
  const std::int64_t before = ShardOfBob().window.cursor();
  int refusals = 2;
  log_.refuse_event = [&](events::Topic topic, std::string_view key) {
    return topic == events::Topic::kMessages && key == bob_ && refusals-- > 0
               ? absl::PermissionDeniedError("not yet")
               : absl::OkStatus();
  };
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_EQ(log_.messages.size(), 1u);
  EXPECT_EQ(log_.messages[0].owner(), alice_);
  EXPECT_EQ(ShardOfBob().window.cursor(), before);
  ASSERT_TRUE(RunUntil([&] { return ShardOfBob().window.cursor() == before + 1; }));
  ASSERT_EQ(log_.messages.size(), 2u);
  EXPECT_EQ(log_.messages[1].owner(), bob_);
  EXPECT_EQ(log_.messages[1].stanza().id(), "m1");
  EXPECT_EQ(log_.messages[1].archive_id(), static_cast<std::uint64_t>(before) + 1);
}

TEST_F(DeliveryTest, SpoofedStanzaIdIsRemoved_OthersStay) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  xmpp::Stanza message = Message(bob_, "m1");
  xmpp::Element ours("stanza-id", "urn:xmpp:sid:0");
  ours.SetAttr("id", "forged").SetAttr("by", bob_);
  xmpp::Element foreign("stanza-id", "urn:xmpp:sid:0");
  foreign.SetAttr("id", "theirs").SetAttr("by", "room@elsewhere");
  xmpp::AddPayload(message, ours);
  for (const std::string& by :
       {alice_, std::string("localhost"), std::string("room@conference.localhost"), " " + bob_ + " ",
        "\t" + bob_, bob_ + "\n", std::string(" localhost "), std::string(), std::string(" ")})
    xmpp::AddPayload(message, xmpp::Element(ours).SetAttr("by", by));
  xmpp::AddPayload(message, foreign);
  gateway_.Send(alice, message);
  Settle();
  ASSERT_EQ(bob.inbox.size(), 1u);
  EXPECT_THAT(bob.inbox[0].payload(), Not(HasSubstr("forged")));
  EXPECT_THAT(bob.inbox[0].payload(), HasSubstr("theirs"));
  EXPECT_THAT(bob.inbox[0].payload(), HasSubstr("by=\"" + bob_ + "\""));
}

// ---- sessions that end with packets in hand ---------------------------------

TEST_F(DeliveryTest, EndedWithoutAck_GoesToTheStore) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  gateway_.Send(alice, Message(bob_ + "/b", "m1"));
  gateway_.Send(alice, Message(bob_ + "/b", "m2", "normal"));
  Settle();
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_TRUE(bob.ended);
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  EXPECT_EQ(ShardOfBob().window.size(), 0u);
  EXPECT_TRUE(Only(alice.inbox, STANZA_KIND_MESSAGE).empty());
}

TEST_F(DeliveryTest, EndedWithoutAck_GoesToTheOtherResource) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone", 5);
  Client& desk = SignIn(gateway_, bob_, "desk", 1);
  phone.inbox.clear();
  phone.acks = false;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m1"));
  gateway_.End(phone, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(DeliveryTest, EndedWithoutAck_OtherTargetHadIt) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& one = SignIn(gateway_, bob_, "one");
  Client& two = SignIn(gateway_, bob_, "two");
  one.acks = false;
  one.inbox.clear();
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
  gateway_.End(one, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

// ---- XEP-0203 ---------------------------------------------------------------

TEST_F(DeliveryTest, Delay_StoredMessageSaysWhenItWasReceived) {
  Client& alice = SignIn(gateway_, alice_, "a");
  const std::string stamp = xmpp::FormatDateTime(clock_.UnixMillisNow());
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  Elapse(std::chrono::seconds(60));
  Client& bob = SignIn(gateway_, bob_, "b", std::nullopt);
  gateway_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(DelaysOf(bob, "m1"), ElementsAre("localhost " + stamp));
}

TEST_F(DeliveryTest, Delay_OfAnotherServerStays_OursIsAdded) {
  Client& alice = SignIn(gateway_, alice_, "a");
  xmpp::Stanza message = Message(bob_, "m1");
  xmpp::AddPayload(message, xmpp::MakeDelay("elsewhere.example", 0));
  gateway_.Send(alice, message);
  Settle();
  Client& bob = SignIn(gateway_, bob_, "b", std::nullopt);
  gateway_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(DelaysOf(bob, "m1"), ElementsAre(HasSubstr("elsewhere.example"), HasSubstr("localhost ")));
}

TEST_F(DeliveryTest, Delay_RoutedAnew_ExactlyOne) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone", 50);
  Client& desk = SignIn(gateway_, bob_, "desk", 1);
  phone.acks = false;
  const std::string stamp = xmpp::FormatDateTime(clock_.UnixMillisNow());
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(DelaysOf(phone, "m1"), IsEmpty());
  Elapse(std::chrono::seconds(30));
  gateway_.End(phone, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(DelaysOf(desk, "m1"), ElementsAre("localhost " + stamp));
  // And once more.
  desk.inbox.clear();
  Client& third = SignIn(gateway_, bob_, "third", 0);
  desk.acks = false;
  phone.inbox.clear();
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  gateway_.End(desk, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(DelaysOf(third, "m2"), ElementsAre(HasSubstr("localhost ")));
}

TEST_F(DeliveryTest, Delay_OfflineMessageThatIsRoutedAnew_ExactlyOne) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  Client& phone = SignIn(gateway_, bob_, "phone", std::nullopt);
  phone.acks = false;
  gateway_.Send(phone, Presence());
  Settle();
  EXPECT_EQ(DelaysOf(phone, "m1").size(), 1u);
  Client& desk = SignIn(gateway_, bob_, "desk");
  gateway_.End(phone, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(DelaysOf(desk, "m1").size(), 1u);
}

TEST_F(DeliveryTest, Delay_NotStorableAndRoutedAnew_ExactlyOne) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& phone = SignIn(gateway_, bob_, "phone", 50);
  Client& desk = SignIn(gateway_, bob_, "desk", 1);
  phone.acks = false;
  xmpp::Stanza message = Message(bob_, "m1");
  xmpp::AddPayload(message, xmpp::Element("no-store", "urn:xmpp:hints"));
  gateway_.Send(alice, message);
  Settle();
  gateway_.End(phone, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(DelaysOf(desk, "m1"), ElementsAre(HasSubstr("localhost ")));
  EXPECT_THAT(database_.offline[bob_], IsEmpty());
}

TEST_F(DeliveryTest, Delay_NotOnAReplay) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  bob.acks = false;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = gateway_.Resume(bob, 0);
  resumed.inbox.clear();
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(DelaysOf(resumed, "m1"), IsEmpty());
}

TEST_F(DeliveryTest, Delay_ForgedInOurNameIsRemoved) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  xmpp::Stanza message = Message(bob_, "m1");
  for (const char* from : {"localhost", "LOCALHOST", "localhost.", "room@conference.localhost", " localhost ",
                           "localhost\n", "\tlocalhost", " "}) {
    xmpp::AddPayload(message, xmpp::MakeDelay(from, 0));
    xmpp::AddPayload(message, xmpp::Element("x", "jabber:x:delay").SetAttr("from", from));
  }
  xmpp::AddPayload(message, xmpp::MakeDelay(bob_, 0));
  xmpp::AddPayload(message, xmpp::Element("x", "jabber:x:delay").SetAttr("from", bob_));
  xmpp::AddPayload(message, xmpp::MakeDelay(alice_ + "/a", 0));  // held back by the client itself
  xmpp::AddPayload(message, xmpp::MakeDelay("elsewhere.example", 0));
  gateway_.Send(alice, message);
  Settle();
  EXPECT_THAT(DelaysOf(bob, "m1"), ElementsAre(HasSubstr(alice_ + "/a "), HasSubstr("elsewhere.example ")));
  EXPECT_THAT(bob.inbox.back().payload(), Not(HasSubstr("jabber:x:delay")));
  EXPECT_THAT(bob.inbox.back().payload(), HasSubstr("text of m1"));
  EXPECT_TRUE(xmpp::Has(bob.inbox.back(), common::v1::STANZA_TRAIT_BODY));
}

TEST_F(DeliveryTest, Delay_ForgedInPresenceIsRemoved) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  xmpp::Stanza presence = Presence({}, bob_ + "/b");
  xmpp::AddPayload(presence, xmpp::MakeDelay("localhost", 0));
  gateway_.Send(alice, presence);
  Settle();
  ASSERT_EQ(bob.inbox.size(), 1u);
  EXPECT_THAT(bob.inbox[0].payload(), Not(HasSubstr("urn:xmpp:delay")));
}

TEST_F(DeliveryTest, Delay_AsClientsOfOldSayIt_ForgedInOurNameIsRemoved) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  xmpp::Stanza message = Message(bob_, "m1");
  for (const std::string& from : {std::string("localhost"), alice_, std::string("elsewhere.example")})
    xmpp::AddPayload(message, xmpp::Element("x", "jabber:x:delay").SetAttr("from", from));
  gateway_.Send(alice, message);
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(bob.inbox[0].payload(), Not(HasSubstr("from=\"localhost\"")));
  EXPECT_THAT(bob.inbox[0].payload(), HasSubstr("from=\"" + alice_ + "\""));
  EXPECT_THAT(bob.inbox[0].payload(), HasSubstr("from=\"elsewhere.example\""));
}

TEST_F(DeliveryTest, Overflow_EndsTheSessionAndKeepsTheMessages) {
  node(0).settings.max_unacked_packets = 10;
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  const std::size_t had = bob.unacked.size();
  for (int i = 0; i < 30; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  ASSERT_FALSE(bob.ended) << "for what others send (B4)";
  for (int i = 0; i < 10; ++i)
    gateway_.Send(bob, Iq("get", "localhost", "p" + std::to_string(i), "ping", "urn:xmpp:ping"));
  Settle();
  ASSERT_TRUE(bob.ended);
  EXPECT_EQ(bob.ended->condition(), "policy-violation");
  EXPECT_EQ(had, 0u);
  EXPECT_EQ(database_.Waiting(bob_), 30u);
}

TEST_F(DeliveryTest, Overflow_BytesCountToo) {
  node(0).settings.max_unacked_bytes = 65'536;
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  for (int i = 0; i < 5; ++i) {
    xmpp::Stanza big = Message(bob_, "m" + std::to_string(i));
    big.mutable_payload()->append("<x xmlns=\"y\">").append(20'000, 'x').append("</x>");
    gateway_.Send(alice, big);
  }
  Settle();
  ASSERT_FALSE(bob.ended);
  for (int i = 0; i < 200; ++i)
    gateway_.Send(bob, Iq("get", "localhost", "p" + std::to_string(i), "ping", "urn:xmpp:ping"));
  Settle();
  EXPECT_TRUE(bob.ended);
  EXPECT_EQ(database_.Waiting(bob_), 5u);
}

TEST_F(DeliveryTest, OneStanzaForManySessionsIsOnePacketPerGateway) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& one = SignIn(gateway_, bob_, "one");
  Client& two = SignIn(gateway_, bob_, "two");
  one.inbox.clear();
  gateway_.Send(alice, Message(bob_, "m1", "headline"));
  Settle();
  EXPECT_THAT(one.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
}

}  // namespace
}  // namespace rookery::session_manager
