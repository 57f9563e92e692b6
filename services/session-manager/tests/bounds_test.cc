// The bounds among the rules of src/domain/delivery/README.md.
#include "delivery_rules.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(DeliveryRules, B1_WhatAPacketKeepsCounts_NotItsPayloadAlone) {
  node(1).settings.max_unacked_bytes = 65'536;
  Client& bob = SignIn(other_, bob_, "b");
  bob.acks = false;
  for (int i = 0; i < 5; ++i) {
    xmpp::Stanza headline = Message(bob_, std::string(20'000, 'i'), "headline");
    headline.clear_payload();
    gateway_.Send(*alice, headline);
  }
  Settle();
  // The second one has made it full (B4).
  EXPECT_FALSE(bob.ended);
  EXPECT_THAT(bob.MessageIds(), ::testing::SizeIs(2));
}

TEST_F(DeliveryRules, B1_OneStanzaAloneEndsNobodysSession_HoweverLargeItIs) {
  node(1).settings.max_unacked_bytes = 65'536;
  Client& bob = SignIn(other_, bob_, "b");
  bob.acks = false;
  xmpp::Stanza large = Message(bob.jid, "large", "headline");
  large.set_payload("<body>" + std::string(100'000, 'x') + "</body>");
  gateway_.Send(*alice, std::move(large));
  Settle();
  // Nor what its user asks for meanwhile.
  other_.Send(bob, Iq("get", {}, "ping", "ping", "urn:xmpp:ping"));
  Settle();
  EXPECT_FALSE(bob.ended);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("large"));
}

/// Many devices of one user that take nothing.
class SilentDevices : public DeliveryRules {
 protected:
  static constexpr std::size_t kDevices = 8;
  static constexpr std::size_t kMostBytes = 65'536;
  /// What others may fill of one session: the half, and one stanza more.
  static constexpr std::size_t kOthersBytes = kMostBytes / 2 + 4'000;
  SilentDevices() {
    node(1).settings.max_sessions_per_user = kDevices;
    node(1).settings.max_unacked_bytes = kMostBytes;
    for (std::size_t i = 0; i < kDevices; ++i)
      devices_.push_back(&SignIn(other_, bob_, "device" + std::to_string(i)));
    for (Client* device : devices_) device->acks = false;
  }
  void Flood(const std::string& to) {
    for (int i = 0; i < 100; ++i) {
      xmpp::Stanza headline = Message(to, "h", "headline");
      headline.set_payload("<body>" + std::string(2'000, 'x') + "</body>");
      gateway_.Send(*alice, std::move(headline));
    }
    Settle();
  }
  /// Returns the bytes in memory: what several sessions share counts once.
  std::size_t BytesInMemory() {
    std::set<const Delivery*> seen;
    std::size_t bytes = 0;
    for (const auto& session : BobsShard().FindUser(bob_)->sessions) {
      EXPECT_LE(session->unacked_bytes, kOthersBytes);
      EXPECT_GT(session->unacked_bytes, kMostBytes / 4);
      for (const UnackedPacket& packet : session->unacked)
        if (seen.insert(packet.delivery.get()).second) bytes += packet.delivery->bytes();
    }
    return bytes;
  }
  std::vector<Client*> devices_;
};

TEST_F(SilentDevices, B1_WhatIsForAllOfThemIsKeptOnce) {
  Flood(bob_);
  EXPECT_LE(BytesInMemory(), kOthersBytes);
  for (const Client* device : devices_) EXPECT_FALSE(device->ended);
}

TEST_F(SilentDevices, B1_EachHasABound_AndThereAreNoMoreThanAllowed) {
  for (const Client* device : devices_) Flood(device->jid);
  EXPECT_LE(BytesInMemory(), kDevices * kOthersBytes);
  Client& extra = other_.Start(bob_, "extra");
  Settle();
  ASSERT_TRUE(extra.start_failure);
  EXPECT_EQ(extra.start_failure->condition(), "resource-constraint");
  for (const Client* device : devices_) EXPECT_FALSE(device->ended);
}

TEST_F(DeliveryRules, B2_ACongestedLinkTakesNoPackets_TheyFollowInOrderWhenItHasRoom) {
  Client& bob = Available();
  other_.SetCongested(node(1), true);
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_);
  EXPECT_THAT(bob.MessageIds(), IsEmpty());
  other_.SetCongested(node(1), false);
  Settle();
  Say("m4", bob_);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
  EXPECT_TRUE(Eventually([&] { return Unfinished() == 0; }));
}

TEST_F(DeliveryRules, B2_CongestedAgainInTheMiddle_NobodyIsForgotten) {
  Client& bob = Available();
  Client& carol = SignIn(other_, UserIn(1, 1), "c");
  other_.SetCongested(node(1), true);
  for (const char* id : {"m1", "m2"}) {
    Say(id, bob_);
    Say(id, UserIn(1, 1));
  }
  other_.SetCongested(node(1), false);
  other_.SetCongested(node(1), true);
  Say("m3", bob_);
  Say("m3", UserIn(1, 1));
  other_.SetCongested(node(1), false);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  EXPECT_THAT(carol.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(DeliveryRules, B2_OneGatewayIsCongested_TheOthersDevicesAreNot) {
  Client& phone = Available("phone");
  Client& desk = SignIn(gateway_, bob_, "desk");
  other_.SetCongested(node(1), true);
  Say("m1", bob_);
  EXPECT_THAT(phone.MessageIds(), IsEmpty());
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
  other_.SetCongested(node(1), false);
  Settle();
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m1"));
}

TEST_F(DeliveryRules, B2_WhatWaitsForRoomIsStored_AndHoldsNobodyBack) {
  Client& bob = Available();
  other_.SetCongested(node(1), true);
  Say("m1", bob_);
  EXPECT_GT(Unfinished(), 0u);
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_EQ(database_.Packets(bob_, bob.id), 1u);
  EXPECT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  other_.SetCongested(node(1), false);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Packets(bob_, bob.id), 0u);
}

TEST_F(DeliveryRules, B2_TheLinkBreaksWhileItIsCongested_NothingIsLost) {
  Client& bob = Available();
  other_.SetCongested(node(1), true);
  Say("m1", bob_);
  other_.Unlink(node(1));
  Settle();
  other_.Link(node(1));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
}

TEST_F(DeliveryRules, B2_TheNewestStateWaits_AndWhatIsConfirmedIsInIt) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  const std::string before = bob.state;
  other_.SetCongested(node(1), true);
  other_.Send(bob, Presence());
  Settle();
  EXPECT_EQ(bob.state, before);
  EXPECT_LT(bob.confirmed, bob.sent);
  other_.SetCongested(node(1), false);
  Settle();
  session::v1::SessionManagerState state;
  ASSERT_TRUE(state.ParseFromString(bob.state));
  EXPECT_TRUE(state.available());
  EXPECT_EQ(bob.confirmed, bob.sent);
}

TEST_F(DeliveryRules, B2_ResumedOnAGatewayThatHasRoom) {
  Client& bob = Available("b", /*acks=*/false);
  other_.EnableStreamManagement(bob);
  Say("m1", bob_);
  other_.SetCongested(node(1), true);
  Say("m2", bob_);
  Client& again = gateway_.Resume(bob, 0);
  again.inbox.clear();
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2"));
  other_.SetCongested(node(1), false);
  Settle();
  EXPECT_EQ(again.MessageIds().size(), 2u);
}

TEST_F(DeliveryRules, B2_ResumedOnACongestedGateway_WhatItLacksFollows) {
  Client& bob = Available("b", /*acks=*/false);
  gateway_.EnableStreamManagement(*alice);
  other_.EnableStreamManagement(bob);
  for (const char* id : {"m1", "m2"}) Say(id, bob_);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Gateway& third = AddGateway("gw-3");
  Settle();
  third.SetCongested(node(1), true);
  Client& again = third.Resume(bob, 0);
  again.inbox.clear();
  again.acks = true;
  Settle();
  ASSERT_TRUE(again.started);
  EXPECT_THAT(again.MessageIds(), IsEmpty());
  Say("m3", bob_);
  third.SetCongested(node(1), false);
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(DeliveryRules, B2_WhatWaitedForRoomWasNeverSent_HCannotCoverIt) {
  Client& bob = Available("b", /*acks=*/false);
  other_.EnableStreamManagement(bob);
  other_.SetCongested(node(1), true);
  Say("m1", bob_);
  Gateway& third = AddGateway("gw-3");
  Settle();
  Client& absurd = third.Resume(bob, 1);
  Settle();
  ASSERT_EQ(absurd.resume_answers.size(), 1u);
  EXPECT_TRUE(absurd.resume_answers[0].handled_too_high());
  Client& again = gateway_.Resume(bob, 0);
  again.inbox.clear();
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
}

}  // namespace
}  // namespace rookery::session_manager
