// Stanzas from rooms to users: given to sessions, or answered for those who are not there.
#include <gmock/gmock.h>

#include "domain/state/session.h"
#include "room_cluster.h"

namespace rookery::session_manager {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;

class RoomStanzasTest : public RoomCluster {};

// ---- those who are there ----------------------------------------------------------

TEST_F(RoomStanzasTest, AFanoutIsOnePacketForAGateway) {
  std::vector<Client*> clients;
  std::vector<std::string> recipients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(&SignIn(gateway_, UserIn(1, i), "r"));
    recipients.push_back(clients.back()->jid);
  }
  // The one packet for all of them is addressed to each.
  const std::size_t before = gateway_.packets;
  Say(1, Fanout(10, Groupchat("m1"), recipients));
  EXPECT_EQ(gateway_.packets, before + 1);
  for (Client* client : clients) {
    ASSERT_THAT(client->inbox, SizeIs(1));
    const xmpp::Stanza& given = client->inbox[0];
    EXPECT_EQ(given.to(), client->jid);
    EXPECT_EQ(given.from(), kNick);
    EXPECT_EQ(given.payload(), Groupchat("m1").payload()) << "nothing is added";
    // One stanza, whoever keeps it.
    EXPECT_EQ(SessionOf(*client, 1)->last_offset, SessionOf(*clients[0], 1)->last_offset);
  }
  EXPECT_THAT(Ghosts(), IsEmpty());
  EXPECT_THAT(log_.messages, IsEmpty());
}

TEST_F(RoomStanzasTest, AllWhoWaitForItShareOneStanza) {
  std::vector<Client*> clients;
  std::vector<std::string> recipients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(&SignIn(gateway_, UserIn(1, i), "r"));
    clients.back()->acks = false;
    recipients.push_back(clients.back()->jid);
  }
  Say(1, Fanout(10, Groupchat("m1"), recipients));
  const Delivery* shared = nullptr;
  for (Client* client : clients) {
    const auto session = SessionOf(*client, 1);
    ASSERT_EQ(session->unacked.size(), 1u);
    if (shared == nullptr) shared = session->unacked.front().delivery.get();
    EXPECT_EQ(session->unacked.front().delivery.get(), shared);
  }
}

TEST_F(RoomStanzasTest, OnlyTheResourceThatIsNamedHearsIt_NoCarbons) {
  Client& one = SignIn(gateway_, bob_, "one");
  Client& two = SignIn(gateway_, bob_, "two");
  Carbons(two);
  one.inbox.clear();
  Say(1, Fanout(10, Groupchat("m1"), {one.jid}));
  Say(1, Single(11, Groupchat("m2"), one.jid));
  EXPECT_THAT(one.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(two.inbox, IsEmpty());
}

TEST_F(RoomStanzasTest, AFanoutCarriesAnyStanza) {
  Client& bob = SignIn(gateway_, bob_, "b");
  xmpp::Stanza error = Message({}, "e1", "error");
  error.set_from(std::string(kRoom));
  Say(1, Fanout(10, OccupantPresence(), {bob.jid}));
  Say(1, Fanout(11, OccupantPresence("unavailable"), {bob.jid}));
  Say(1, Fanout(12, error, {bob.jid}));
  ASSERT_THAT(bob.inbox, SizeIs(3));
  EXPECT_EQ(bob.inbox[1].type(), "unavailable");
  EXPECT_EQ(bob.inbox[2].id(), "e1");
}

TEST_F(RoomStanzasTest, OneOriginIsAppliedOnce_AndAFormerOwnerIsNotBelieved) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  // The next owner says it again, and what the other one had not said.
  room_epoch_ = 9;
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  Say(1, Fanout(11, Groupchat("m2"), {bob.jid}));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  // One that stood still a little is believed, since it says what its successor says.
  room_epoch_ = 5;
  Say(1, Fanout(12, Groupchat("m3"), {bob.jid}));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  Elapse(owner_options_.duplicate_horizon / 2 + std::chrono::seconds(1));
  Say(1, Fanout(13, Groupchat("m4"), {bob.jid}));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  room_epoch_ = 9;
  Say(1, Fanout(13, Groupchat("m4"), {bob.jid}));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
}

// The same numbers in another shard of rooms, and in one of users.
TEST_F(RoomStanzasTest, OriginsOfOtherTopicsAndShardsAreOthers) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  events::v1::UserRecord other = Fanout(10, Groupchat("m2"), {bob.jid});
  other.mutable_origin()->set_shard((ShardOfRoom(kRoom) + 1) % kShards);
  Say(1, other);
  other = Fanout(10, Groupchat("m3"), {bob.jid});
  other.mutable_origin()->set_topic(events::v1::TOPIC_USERS);
  other.mutable_origin()->set_epoch(1'000);
  Say(1, other);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

// ---- those who are not ------------------------------------------------------------

TEST_F(RoomStanzasTest, RM3_WhoIsNotThereIsAnsweredFor_WithNumbersOfItsOwn) {
  Client& bob = SignIn(gateway_, bob_, "b");
  const std::string elsewhere = bob_ + "/elsewhere", nobody = "nobody@localhost/x",
                    away = UserIn(1, 5) + "/x";
  const std::size_t at = log_.users[1].size();
  Say(1, Fanout(10, Groupchat("m1"), {elsewhere, bob.jid, nobody, away, UserIn(1, 6)}));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  const auto records = Applied(kRoom);
  ASSERT_THAT(records, SizeIs(3));
  std::vector<std::uint32_t> parts;
  for (const events::v1::RoomRecord& record : records) {
    const xmpp::Stanza& error = record.delivery().stanza();
    EXPECT_EQ(error.kind(), STANZA_KIND_MESSAGE);
    EXPECT_EQ(error.type(), "error");
    EXPECT_EQ(error.id(), "m1");
    EXPECT_EQ(error.to(), kNick);
    EXPECT_THAT(error.payload(), AllOf(HasSubstr("service-unavailable"), Not(HasSubstr("text of"))));
    EXPECT_EQ(record.origin().topic(), events::v1::TOPIC_USERS);
    EXPECT_EQ(record.origin().shard(), 1u);
    EXPECT_EQ(record.origin().log().offset(), static_cast<std::int64_t>(at));
    parts.push_back(record.origin().log().part());
  }
  EXPECT_THAT(Ghosts(), ElementsAre(elsewhere, nobody, away));
  EXPECT_THAT(parts, ElementsAre(0u << 16 | 1, 2u << 16 | 1, 3u << 16 | 1));
}

TEST_F(RoomStanzasTest, RM3_OfPresenceOnlyThatSomebodyIsThereIsAnswered) {
  const std::string away = bob_ + "/away";
  Say(1, Fanout(10, OccupantPresence("unavailable"), {away}));
  Say(1, Fanout(11, OccupantPresence("error"), {away}));
  Say(1, Single(12, OccupantPresence("unavailable"), away));
  xmpp::Stanza error = Message({}, "e1", "error");
  error.set_from(std::string(kRoom));
  Say(1, Fanout(13, error, {away}));
  Say(1, Single(14, error, away));
  EXPECT_THAT(Heard(kRoom), IsEmpty());
  Say(1, Fanout(15, OccupantPresence(), {away}));
  Say(1, Single(16, OccupantPresence(), away));
  const auto heard = Heard(kRoom);
  ASSERT_THAT(heard, SizeIs(2));
  for (const xmpp::Stanza& answer : heard) {
    EXPECT_EQ(answer.kind(), STANZA_KIND_PRESENCE);
    EXPECT_EQ(answer.from(), away);
    EXPECT_EQ(answer.to(), kNick);
    EXPECT_THAT(answer.payload(), HasSubstr("recipient-unavailable"));
  }
}

TEST_F(RoomStanzasTest, RM3_ASingleMessageToWhoIsNotThereIsAnswered) {
  // A subject, without a body.
  xmpp::Stanza subject = Groupchat("m1", kRoom);
  xmpp::SetPayload(subject, xmpp::Element("subject", "jabber:client"));
  Say(1, Single(10, subject, bob_ + "/away"));
  const auto heard = Heard(kRoom);
  ASSERT_THAT(heard, SizeIs(1));
  EXPECT_EQ(heard[0].from(), bob_ + "/away");
  EXPECT_EQ(heard[0].to(), kRoom);
  EXPECT_THAT(heard[0].payload(), HasSubstr("service-unavailable"));
}

TEST_F(RoomStanzasTest, WhatUsersSayIsNotAnsweredFor) {
  roster_.Befriend(alice_, bob_);
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, bob_ + "/away"));
  Settle();
  EXPECT_THAT(alice.inbox, IsEmpty());
  Say(1, Single(10, OccupantPresence(), bob_ + "/away"));
  EXPECT_THAT(Ghosts(), ElementsAre(bob_ + "/away")) << "what a room says is";
}

TEST_F(RoomStanzasTest, RM3_AnAccountThatIsBeingRemovedIsNotThere) {
  Client& bob = SignIn(gateway_, bob_, "b");
  roster_.down = true;  // so that it takes its time
  events::v1::UserRecord removal;
  removal.mutable_origin()->set_topic(events::v1::TOPIC_USERS);
  removal.mutable_origin()->set_shard(1);
  removal.mutable_origin()->set_epoch(node(1).domain.shards().Find(1)->epoch);
  removal.mutable_account_removed()->set_jid(bob_);
  removal.mutable_account_removed()->set_generation(1);
  Say(1, removal);
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  Say(1, Single(11, Groupchat("m2"), bob.jid));
  Say(1, Single(12, OccupantPresence(), bob.jid));
  EXPECT_THAT(Ghosts(), ElementsAre(bob.jid, bob.jid, bob.jid));
  EXPECT_THAT(bob.MessageIds(), IsEmpty());
  roster_.down = false;
}

TEST_F(RoomStanzasTest, RM3_TheOwnerDies_AGhostIsToldOfOnce) {
  const std::string away = bob_ + "/away";
  log_.held = true;
  Say(1, Fanout(10, Groupchat("m1"), {away}));
  ASSERT_EQ(log_.in_flight.size(), 1u);
  log_.Flush(1);
  // Nobody was told that the log has it before the cursor moved.
  MoveTo(1, 0);
  EXPECT_THAT(Ghosts(), ElementsAre(away));
  EXPECT_THAT(log_.RoomRecords(kRoom), SizeIs(2));
}

TEST_F(RoomStanzasTest, ARefusedAnswerIsSaidAgain_UnlessSomebodyHasComeSince) {
  for (const bool comes : {false, true}) {
    const std::string jid = bob_ + (comes ? "/late" : "/away");
    int refusals = 1;
    log_.refuse_room = [&](std::uint32_t, const events::v1::RoomRecord&) {
      return refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
    };
    Say(1, Fanout(comes ? 11 : 10, Groupchat("m"), {jid}));
    if (comes) SignIn(gateway_, bob_, "late");
    const Shard& shard = *node(1).domain.shards().Find(1);
    ASSERT_TRUE(RunUntil([&] { return shard.window.cursor() == shard.window.next_offset(); }));
    EXPECT_THAT(Ghosts(), ElementsAre(bob_ + "/away"));
  }
}

// ---- sessions that are parked, and that end -----------------------------------------

TEST_F(RoomStanzasTest, RM4_AParkedSessionIsThere_AndHasAllOfItWhenItIsResumed) {
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  Settle();
  const auto handled = static_cast<std::uint32_t>(bob.last_seq - bob.base_seq);
  bob.acks = false;
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  Say(1, Fanout(11, Groupchat("m2"), {bob.jid}));
  Say(1, Single(12, Groupchat("m3"), bob.jid));
  ASSERT_TRUE(RunUntil([&] { return bob.parked; }));
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_EQ(database_.Packets(bob_, bob.id), 3u);
  Say(1, Fanout(13, Groupchat("m4"), {bob.jid}));
  bob.inbox.clear();
  Client& back = gateway_.Resume(bob, handled);
  Settle();
  ASSERT_TRUE(back.started);
  EXPECT_THAT(back.MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
  EXPECT_THAT(Heard(kRoom), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(RoomStanzasTest, RM4_WhatASessionHasNotAcknowledgedGoesWithIt) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& other = SignIn(gateway_, bob_, "other");
  gateway_.EnableStreamManagement(bob);
  Settle();
  gateway_.Send(bob, Presence({}, std::string(kNick)));
  Settle();
  bob.acks = false;
  other.inbox.clear();
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  Say(1, Single(11, Groupchat("m2"), bob.jid));
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  // Some of it is stored by then, and the rest not.
  Elapse(settings_.window_time + std::chrono::seconds(1));
  Say(1, Single(12, Groupchat("m3"), bob.jid));
  Elapse(settings_.resume_timeout + std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_TRUE(database_.offline[bob_].empty());
  EXPECT_EQ(database_.Packets(bob_, bob.id), 0u);
  EXPECT_THAT(other.MessageIds(), IsEmpty());
  const auto heard = Heard(kRoom);
  ASSERT_THAT(heard, SizeIs(2));
  EXPECT_EQ(heard[1].type(), "unavailable");
  const Shard& shard = *node(1).domain.shards().Find(1);
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

TEST_F(RoomStanzasTest, RM4_TheOwnerDies_WhatWasGivenIsNotGivenAgain_AndNothingIsMissing) {
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  Settle();
  bob.acks = false;
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid}));
  Say(1, Single(11, Groupchat("m2"), bob.jid));
  node(1).frozen = true;
  log_.users[1].push_back(Fanout(12, Groupchat("m3"), {bob.jid}).SerializeAsString());
  Settle();
  MoveTo(1, 0);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  const auto session = SessionOf(bob, 0);
  ASSERT_EQ(session->unacked.size(), 3u);
  for (const UnackedPacket& packet : session->unacked) EXPECT_NE(packet.delivery, nullptr);
  EXPECT_THAT(Heard(kRoom), IsEmpty());
  gateway_.Deliver(bob, bob.last_seq);
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(log_.committed[1], static_cast<std::int64_t>(log_.users[1].size()));
}

TEST_F(RoomStanzasTest, RM4_TheOwnerDies_WhatWaitedForTwoDevicesIsGivenOnceToEach) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& one = SignIn(gateway_, bob_, "one");
  Client& two = SignIn(gateway_, bob_, "two");
  for (Client* device : {&one, &two}) gateway_.EnableStreamManagement(*device);
  Settle();
  // It is under way for long.
  roster_.stuck = alice_;
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  // And everything waits for this.
  roster_.changes_held = true;
  gateway_.Send(one, Block("far.example"));
  Settle();
  two.acks = false;  // so that the next owner reads it again
  Say(1, Fanout(10, Groupchat("m1"), {one.jid, two.jid}));
  ASSERT_THAT(one.MessageIds(), IsEmpty());
  roster_.changes_held = false;
  ASSERT_TRUE(RunUntil([&] { return one.MessageIds().size() == 1 && two.MessageIds().size() == 1; }));
  Settle();
  MoveTo(1, 0);
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(one.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(two.MessageIds(), ElementsAre("m1"));
}

// An error would take the one that has entered the room since out of it.
TEST_F(RoomStanzasTest, RM3_WhatWasForAnEarlierSessionOfTheNameIsNotAnsweredFor) {
  // Holds the cursor, so that all of it is read again.
  Client& other = SignIn(gateway_, bob_, "other");
  gateway_.EnableStreamManagement(other);
  other.acks = false;
  Gateway& mortal = AddGateway("gw-2");
  Settle();
  Client& bob = SignIn(mortal, bob_, "b");
  Say(1, Fanout(10, Groupchat("m1"), {other.jid}));
  Say(1, Fanout(11, Groupchat("m2"), {bob.jid}));
  Say(1, Single(12, Groupchat("m3"), bob.jid));
  mortal.End(bob, session::v1::END_REASON_CLOSED);
  Settle();
  // Nobody brings it again.
  KillGateway(mortal);
  Client& next = SignIn(gateway_, bob_, "b");
  MoveTo(1, 0);
  EXPECT_THAT(next.MessageIds(), IsEmpty());
  EXPECT_THAT(Ghosts(), IsEmpty());
  Say(1, Fanout(13, Groupchat("m4"), {next.jid, bob_ + "/away"}));
  EXPECT_THAT(next.MessageIds(), ElementsAre("m4"));
  EXPECT_THAT(Ghosts(), ElementsAre(bob_ + "/away"));
}

// ---- who does not want it, or has too much -------------------------------------------

TEST_F(RoomStanzasTest, RM6_ABlockedRoomIsNotHeard_AndBlockedOccupantsAreNotTold) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& carol = SignIn(gateway_, UserIn(1, 3), "c");
  for (Client* client : {&bob, &carol}) {
    gateway_.Send(*client, Block(std::string(client == &bob ? kNick : kRoom)));
    Settle();
    client->inbox.clear();
  }
  Say(1, Fanout(10, Groupchat("m1"), {bob.jid, carol.jid}));
  Say(1, Fanout(11, Groupchat("m2", std::string(kRoom) + "/other"), {bob.jid, carol.jid}));
  Say(1, Single(12, Groupchat("m3"), bob.jid));
  Say(1, Fanout(13, PrivateMessage("m4"), {bob.jid, carol.jid}));
  Say(1, Single(14, PrivateMessage("m5"), bob.jid));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m2"));
  EXPECT_THAT(log_.messages, IsEmpty());
  EXPECT_THAT(carol.MessageIds(), IsEmpty());
  EXPECT_THAT(Ghosts(), IsEmpty());
}

// B4. Nothing of a room may be missing that nobody knows of.
TEST_F(RoomStanzasTest, RM5_WhoseClientHasTooMuchIsOutOfTheRoom_AndHearsIt) {
  for (auto& node : nodes_) node->settings.max_unacked_packets = 20;
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  bob.inbox.clear();
  std::int64_t offset = 10;
  for (int i = 0; i < 11; ++i) Say(1, Fanout(offset++, Groupchat("m" + std::to_string(i)), {bob.jid}));
  EXPECT_THAT(Ghosts(), IsEmpty());
  const std::size_t given = bob.inbox.size();
  Say(1, Fanout(offset++, Groupchat("x1"), {bob.jid}));
  Say(1, Single(offset++, Groupchat("x2"), bob.jid));
  Say(1, Fanout(offset++, OccupantPresence(), {bob.jid}));
  Say(1, Fanout(offset++, OccupantPresence("unavailable"), {bob.jid}));
  EXPECT_EQ(bob.inbox.size(), given);
  EXPECT_THAT(Ghosts(), ElementsAre(bob.jid, bob.jid, bob.jid, bob.jid)) << "that somebody is gone, too";
  EXPECT_FALSE(SessionOf(bob, 1)->state.presence_missed()) << "contacts do not know";
  xmpp::Stanza farewell = OccupantPresence("unavailable");
  xmpp::Element x("x", "http://jabber.org/protocol/muc#user");
  x.Add("status").SetAttr("code", "110");
  xmpp::SetPayload(farewell, x);
  Say(1, Single(offset++, farewell, bob.jid));
  ASSERT_EQ(bob.inbox.size(), given + 1);
  EXPECT_THAT(bob.inbox.back().payload(), HasSubstr("110"));
}

// ---- what is nothing special ----------------------------------------------------------

TEST_F(RoomStanzasTest, AnInvitationWaitsForWhoIsAway) {
  xmpp::Stanza invitation = Message({}, "i1", "");
  invitation.set_from(std::string(kRoom));
  xmpp::Element x("x", "http://jabber.org/protocol/muc#user");
  x.Add("invite").SetAttr("from", alice_);
  xmpp::SetPayload(invitation, x);
  Say(1, Single(10, invitation, bob_));
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 1u);
  Client& bob = gateway_.Start(bob_, "b");
  Settle();
  gateway_.Send(bob, Presence({}, {}, 0));
  ASSERT_TRUE(RunUntil([&] { return !bob.MessageIds().empty(); }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("i1"));
  EXPECT_THAT(Ghosts(), IsEmpty());
}

TEST_F(RoomStanzasTest, RequestsOfOccupantsAreAnsweredToTheRoom) {
  Client& bob = SignIn(gateway_, bob_, "b");
  xmpp::Stanza request = Iq("get", {}, "q1", "query", "x:y");
  request.set_from(std::string(kNick));
  Say(1, Single(10, request, bob.jid));
  ASSERT_THAT(bob.inbox, SizeIs(1));
  gateway_.Send(bob, Iq("result", std::string(kNick), "q1"));
  Say(1, Single(11, request, bob_ + "/away"));
  ASSERT_TRUE(RunUntil([&] { return Heard(kRoom).size() == 2; }));
  const auto heard = Heard(kRoom);
  EXPECT_EQ(heard[0].type(), "result");
  EXPECT_EQ(heard[0].from(), bob.jid);
  EXPECT_EQ(heard[1].type(), "error");
  EXPECT_EQ(heard[1].from(), bob_ + "/away");
}

}  // namespace
}  // namespace rookery::session_manager
