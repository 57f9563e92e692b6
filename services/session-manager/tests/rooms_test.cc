// Stanzas from clients to rooms, and what rooms hear of sessions that end.
#include <gmock/gmock.h>

#include "domain/metrics.h"
#include "room_cluster.h"

namespace rookery::session_manager {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;

class RoomsTest : public RoomCluster {
 protected:
  Client& Enter(Gateway& gateway, const std::string& user, const std::string& resource,
                const std::string& at = std::string(kNick)) {
    Client& client = SignIn(gateway, user, resource);
    gateway.Send(client, Presence({}, at));
    Settle();
    return client;
  }
  /// From where `unavailable` came, each time that it did.
  std::vector<std::string> Left(std::string_view room) const {
    std::vector<std::string> left;
    for (const auto& stanza : Heard(room))
      if (stanza.kind() == STANZA_KIND_PRESENCE && stanza.type() == "unavailable")
        left.push_back(stanza.to());
    return left;
  }
};

// ---- where it goes ----------------------------------------------------------------

TEST_F(RoomsTest, RM1_EveryStanzaToRoomsIsARecordOfItsHome) {
  Client& alice = SignIn(gateway_, alice_, "a");
  for (const std::string_view address : {kService, kRoom, kNick}) {
    const std::string to(address);
    const std::uint64_t before = alice.sent;
    std::vector<xmpp::Stanza> all;
    for (const char* type : {"groupchat", "chat", "", "headline", "error"})
      all.push_back(Message(to, "m" + std::string(type), type));
    for (const char* type : {"", "probe", "error", "unavailable"}) all.push_back(Presence(type, to));
    for (const char* type : {"get", "set"}) all.push_back(Iq(type, to, type, "query", "x:y"));
    for (const char* type : {"result", "error"}) all.push_back(Iq(type, to, type));
    for (const xmpp::Stanza& stanza : all) gateway_.Send(alice, stanza);
    Settle();
    EXPECT_EQ(alice.confirmed, alice.sent);
    EXPECT_THAT(alice.Take(), IsEmpty());
    const std::string bare(xmpp::BareOf(to));
    std::vector<events::v1::RoomRecord> records = Applied(bare);
    ASSERT_GE(records.size(), all.size());
    records.erase(records.begin(), records.end() - static_cast<std::ptrdiff_t>(all.size()));
    for (std::size_t i = 0; i < all.size(); ++i) {
      const events::v1::RoomRecord& record = records[i];
      const xmpp::Stanza& stanza = record.delivery().stanza();
      EXPECT_EQ(stanza.kind(), all[i].kind());
      EXPECT_EQ(stanza.type(), all[i].type());
      EXPECT_EQ(stanza.to(), to);
      EXPECT_EQ(stanza.from(), alice.jid);
      EXPECT_EQ(stanza.payload(), all[i].payload());
      const events::v1::Origin& origin = record.origin();
      EXPECT_EQ(origin.topic(), events::v1::TOPIC_USERS);
      EXPECT_EQ(origin.shard(), 0u);
      EXPECT_EQ(origin.epoch(), node(0).domain.shards().Find(0)->epoch);
      EXPECT_EQ(origin.client().session_id(), alice.id);
      EXPECT_EQ(origin.client().count(), before + i + 1);
      EXPECT_EQ(origin.client().part(), 1u);
      EXPECT_NE(record.trace_id(), 0u);
      EXPECT_EQ(record.received_at_ms(), clock_.UnixMillisNow());
    }
  }
  EXPECT_THAT(node(0).service_disco.asked, IsEmpty());
}

TEST_F(RoomsTest, RM1_RoomsAreNoContacts) {
  Client& alice = SignIn(gateway_, alice_, "a");
  for (const char* type : {"subscribe", "subscribed", "unsubscribe", "unsubscribed"})
    for (const std::string_view to : {kService, kRoom, kNick})
      gateway_.Send(alice, Presence(type, std::string(to)));
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent);
  EXPECT_THAT(alice.inbox, IsEmpty());
  EXPECT_THAT(Heard(kRoom), IsEmpty());
  EXPECT_THAT(Heard(kService), IsEmpty());
  EXPECT_THAT(roster_.rosters[alice_], IsEmpty());
}

TEST_F(RoomsTest, TheLogHasItBeforeItIsConfirmed) {
  Client& alice = SignIn(gateway_, alice_, "a");
  log_.held = true;
  gateway_.Send(alice, Message(std::string(kRoom), "m1", "groupchat"));
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent - 1);
  log_.held = false;
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent);
  EXPECT_THAT(HeardIds(kRoom), ElementsAre("m1"));
}

TEST_F(RoomsTest, TheOwnerDies_WhatWasNotConfirmedIsSentAgain_AndAppliedOnce) {
  for (const bool lose : {true, false}) {
    const std::string room = lose ? "lost@conference.localhost" : "kept@conference.localhost";
    Client& alice = SignIn(gateway_, alice_, lose ? "a" : "b");
    gateway_.Send(alice, Presence({}, room + "/nick"));
    gateway_.Send(alice, Message(room, "m1", "groupchat"));
    Settle();
    log_.held = true;
    gateway_.Send(alice, Message(bob_, "private"));
    gateway_.Send(alice, Message(room, "m2", "groupchat"));
    gateway_.Send(alice, Message(room + "/nick", "m3"));
    gateway_.Send(alice, Iq("set", room, "q4", "query", "x:y"));
    Settle();
    MoveTo(0, lose ? 1 : 2, lose);
    EXPECT_EQ(alice.confirmed, alice.sent);
    EXPECT_THAT(HeardIds(room), ElementsAre("", "m1", "m2", "m3", "q4"));
    if (lose) {
      EXPECT_EQ(log_.RoomRecords(room).size(), 5u);
      AddNode();
    } else {
      EXPECT_EQ(log_.RoomRecords(room).size(), 8u);
    }
  }
}

TEST_F(RoomsTest, WhatGoesToUsersAndRoomsKeepsTheOrderOfTheSession) {
  Client& alice = SignIn(gateway_, alice_, "a");
  log_.held = true;
  for (int i = 0; i < 6; ++i)
    gateway_.Send(alice, Message(i % 2 == 0 ? std::string(kRoom) : bob_, "m" + std::to_string(i),
                                 i % 2 == 0 ? "groupchat" : "chat"));
  Settle();
  std::vector<std::uint64_t> counts;
  for (const FakeLog::Pending& pending : log_.in_flight) {
    events::v1::RoomRecord record;  // the origin is the same field of both
    ASSERT_TRUE(record.ParseFromString(pending.value));
    counts.push_back(record.origin().client().count());
  }
  EXPECT_TRUE(std::is_sorted(counts.begin(), counts.end()));
  log_.held = false;
  Settle();
  EXPECT_DOUBLE_EQ(node(0).domain.metrics().records_out_of_order.Value(), 0);
}

// O1. A request to the service goes into the log, and so behind what waits.
TEST_F(RoomsTest, TheSettingsAreNotKnown_WhatGoesToRoomsWaitsInItsOrder) {
  Client& alice = SignIn(gateway_, alice_, "a");
  node(0).owner.CommitCursors();
  Settle();
  // The next owner is sent all of this again, and knows nothing of alice.
  roster_.settings_held = roster_.held = true;
  Kill(0);
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Iq("get", std::string(kService), "q2", "query", "x:y"));
  gateway_.Send(alice, Message(std::string(kRoom), "m3", "groupchat"));
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  EXPECT_THAT(Heard(kService), IsEmpty()) << "it waits for what alice has set";
  roster_.settings_held = roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent; }));
  EXPECT_THAT(HeardIds(kService), ElementsAre("q2"));
  EXPECT_THAT(HeardIds(kRoom), ElementsAre("m3"));
  EXPECT_DOUBLE_EQ(node(1).domain.metrics().records_out_of_order.Value(), 0);
}

TEST_F(RoomsTest, SearchHasNoRecords) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Message("room@search.localhost", "m1", "groupchat"));
  gateway_.Send(alice, Iq("set", "search.localhost", "q1", "query", "x:y"));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 2u);
  for (const xmpp::Stanza& answer : alice.inbox)
    EXPECT_THAT(answer.payload(), HasSubstr("service-unavailable"));
}

TEST_F(RoomsTest, AGroupchatMessageIsNotCopied_APrivateOneIs) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& other = SignIn(gateway_, alice_, "b");
  Carbons(other);
  log_.messages.clear();
  gateway_.Send(alice, Message(std::string(kRoom), "m1", "groupchat"));
  Settle();
  EXPECT_THAT(other.inbox, IsEmpty());
  EXPECT_THAT(log_.messages, IsEmpty());
  gateway_.Send(alice, Message(std::string(kNick), "m2"));
  Settle();
  ASSERT_EQ(other.inbox.size(), 1u);
  EXPECT_THAT(other.inbox[0].payload(), AllOf(HasSubstr("<sent"), HasSubstr("m2")));
  ASSERT_EQ(log_.messages.size(), 1u);
  EXPECT_EQ(log_.messages[0].owner(), alice_);
  EXPECT_EQ(log_.messages[0].direction(), events::v1::MESSAGE_DIRECTION_SENT);
}

TEST_F(RoomsTest, AnEventNamesTheRecordThatItFollowsFrom) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_EQ(log_.messages.size(), 2u);
  for (const events::v1::MessageEvent& event : log_.messages) {
    const events::v1::Origin& origin = event.origin();
    const std::uint32_t shard = event.owner() == bob_ ? 1 : 0;
    EXPECT_EQ(origin.topic(), events::v1::TOPIC_USERS);
    EXPECT_EQ(origin.shard(), shard);
    EXPECT_EQ(origin.shard(), event.source_partition());
    EXPECT_EQ(origin.epoch(), node(shard == 0 ? 0 : 1).domain.shards().Find(shard)->epoch);
    ASSERT_TRUE(origin.has_log());
    EXPECT_EQ(origin.log().offset(), event.source_offset());
    EXPECT_EQ(origin.log().part(), 0u);
  }
}

TEST_F(RoomsTest, ABlockedRoomHearsNothing_AndIsLeft) {
  Client& alice = Enter(gateway_, alice_, "a");
  gateway_.Send(alice, Block(std::string(kRoom)));
  Settle();
  EXPECT_THAT(Left(kRoom), ElementsAre(kNick));
  alice.inbox.clear();
  gateway_.Send(alice, Message(std::string(kRoom), "m1", "groupchat"));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_THAT(alice.inbox[0].payload(), HasSubstr("not-acceptable"));
  EXPECT_EQ(Heard(kRoom).size(), 2u);
}

// ---- what the log does not take ---------------------------------------------------

TEST_F(RoomsTest, RefusedStanza_ItsSenderHasAnError) {
  Client& alice = SignIn(gateway_, alice_, "a");
  absl::Status refusal = absl::InvalidArgumentError("too large");
  log_.refuse_room = [&](std::uint32_t, const events::v1::RoomRecord&) { return refusal; };
  gateway_.Send(alice, Message(std::string(kRoom), "m1", "groupchat"));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_EQ(alice.inbox[0].id(), "m1");
  EXPECT_EQ(alice.inbox[0].from(), kRoom);
  EXPECT_THAT(alice.inbox[0].payload(), HasSubstr("policy-violation"));
  EXPECT_EQ(alice.confirmed, alice.sent);
  refusal = absl::PermissionDeniedError("no right to write");
  alice.inbox.clear();
  gateway_.Send(alice, Iq("get", std::string(kService), "q1", "query", "x:y"));
  gateway_.Send(alice, Presence({}, std::string(kNick)));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 2u);
  for (const xmpp::Stanza& error : alice.inbox)
    EXPECT_THAT(error.payload(), HasSubstr("internal-server-error"));
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(RoomsTest, RefusedUnavailableOfAnEnd_IsSaidAgain) {
  Client& alice = Enter(gateway_, alice_, "a");
  bool is_refused = true;
  log_.refuse_room = [&](std::uint32_t, const events::v1::RoomRecord&) {
    return is_refused ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Left(kRoom), IsEmpty());
  const Shard& shard = *node(0).domain.shards().Find(0);
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset());
  is_refused = false;
  ASSERT_TRUE(RunUntil([&] { return shard.window.cursor() == shard.window.next_offset(); }));
  EXPECT_THAT(Left(kRoom), ElementsAre(kNick));
}

TEST_F(RoomsTest, RefusedUnavailable_IsSaidAgain_AndConfirmedThen_UnlessTheRoomWasEnteredSince) {
  for (const bool returns : {false, true}) {
    Client& alice = Enter(gateway_, alice_, returns ? "b" : "a");
    const std::size_t before = Left(kRoom).size();
    int refusals = 1;
    log_.refuse_room = [&](std::uint32_t, const events::v1::RoomRecord&) {
      return refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
    };
    gateway_.Send(alice, Presence("unavailable"));
    Settle();
    EXPECT_EQ(alice.confirmed, alice.sent - 1);
    EXPECT_THAT(Only(alice.inbox, STANZA_KIND_PRESENCE, "error"), IsEmpty());
    if (returns) gateway_.Send(alice, Presence({}, std::string(kRoom) + "/another"));
    Settle();
    ASSERT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent; }));
    EXPECT_EQ(Left(kRoom).size(), before + (returns ? 0 : 1));
  }
}

// ---- the end of a session -----------------------------------------------------------

TEST_F(RoomsTest, RM2_HoweverASessionEnds_ItsRoomsHearIt) {
  const std::string neighbour = Neighbour() + "/me";
  int round = 0;
  for (const char* way : {"closed", "lost", "timed out", "gateway killed", "unavailable"}) {
    SCOPED_TRACE(way);
    Gateway& gateway = AddGateway("gw-x" + std::to_string(round++));
    Settle();
    Client& alice = Enter(gateway, alice_, "a");
    gateway.Send(alice, Presence({}, neighbour));
    Settle();
    const std::size_t before = Left(kRoom).size();
    const std::string_view is(way);
    if (is == "closed") gateway.End(alice, session::v1::END_REASON_CLOSED);
    if (is == "lost") gateway.End(alice, session::v1::END_REASON_CONNECTION_LOST);
    if (is == "timed out") {
      gateway.EnableStreamManagement(alice);
      gateway.End(alice, session::v1::END_REASON_CONNECTION_LOST);
      Settle();
      EXPECT_EQ(Left(kRoom).size(), before) << "it may come back";
      Elapse(settings_.resume_timeout + std::chrono::seconds(1));
    }
    if (is == "gateway killed") {
      KillGateway(gateway);
      Elapse(settings_.link_grace + std::chrono::seconds(1));
    }
    if (is == "unavailable") gateway.Send(alice, Presence("unavailable"));
    Settle();
    const auto applied = Applied(kRoom);
    ASSERT_EQ(Left(kRoom).size(), before + 1);
    const events::v1::RoomRecord& last = applied.back();
    EXPECT_EQ(last.delivery().stanza().to(), kNick);
    EXPECT_EQ(last.delivery().stanza().from(), alice.jid);
    EXPECT_EQ(last.origin().topic(), events::v1::TOPIC_USERS);
    EXPECT_EQ(last.origin().has_client(), is == "unavailable");
    EXPECT_EQ(last.origin().has_log(), is != "unavailable");
    EXPECT_THAT(Left(xmpp::BareOf(neighbour)), SizeIs(before + 1));
  }
}

// Both are in one partition of the log.
TEST_F(RoomsTest, RM2_TheOwnerDiesWhileRoomsHearOfAnEnd_TheNextOneTellsThoseThatHaveNot) {
  Client& alice = SignIn(gateway_, alice_, "a");
  std::vector<std::string> rooms{std::string(kRoom), Neighbour(0), Neighbour(1)};
  for (const std::string& room : rooms) gateway_.Send(alice, Presence({}, room + "/nick"));
  Settle();
  log_.held = true;
  gateway_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  // The record of the end, and one of the three that follow.
  for (int i = 0; i < 2; ++i) {
    log_.Flush(1);
    Settle();
  }
  EXPECT_EQ(std::count_if(log_.in_flight.begin(), log_.in_flight.end(),
                          [](const auto& pending) { return pending.topic == events::Topic::kRooms; }),
            2);
  MoveTo(0, 1);
  std::size_t records = 0;
  for (const std::string& room : rooms) {
    EXPECT_THAT(Left(room), SizeIs(1)) << room;
    records += log_.RoomRecords(room).size();
  }
  EXPECT_EQ(records, rooms.size() * 2 + 1) << "one was told twice";
}

TEST_F(RoomsTest, RM2_AnEndOfASessionThatNobodyKnows_IsToldToTheRoomsThatItNames) {
  const std::string jid = alice_ + "/gone";
  events::v1::UserRecord record;
  auto& ended = *record.mutable_session_ended();
  ended.set_session_id(std::string(16, 'x'));
  ended.set_full_jid(jid);
  ended.set_available(true);
  for (const std::string& room : {std::string(kNick), Neighbour() + "/me"}) ended.add_directed(room);
  ended.add_directed(bob_ + "/b");
  Client& bob = SignIn(gateway_, bob_, "b");
  record.mutable_origin()->set_epoch(node(0).domain.shards().Find(0)->epoch);
  log_.users[0].push_back(record.SerializeAsString());
  Settle();
  EXPECT_THAT(Left(kRoom), ElementsAre(kNick));
  EXPECT_THAT(Left(Neighbour()), ElementsAre(Neighbour() + "/me"));
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
}

TEST_F(RoomsTest, RM2_ARoomIsLeftOnce_UnderTheNewestNickname) {
  Client& alice = Enter(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, std::string(kRoom) + "/other"));
  Settle();
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Left(kRoom), ElementsAre(std::string(kRoom) + "/other"));

  Client& again = Enter(gateway_, alice_, "b");
  gateway_.Send(again, Presence({}, std::string(kRoom) + "/other"));
  gateway_.Send(again, Presence("unavailable", std::string(kNick)));
  Settle();
  gateway_.End(again, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Left(kRoom), ElementsAre(std::string(kRoom) + "/other", kNick));
}

// ---- a leaving that the log refuses ---------------------------------------------

TEST_F(RoomsTest, RM8_ItsLeavingIsRefused_TheEndOfTheSessionSaysIt) {
  Client& alice = Enter(gateway_, alice_, "a");
  log_.refuse_room = [](std::uint32_t, const events::v1::RoomRecord&) {
    return absl::PermissionDeniedError("not yet");
  };
  gateway_.Send(alice, Presence("unavailable", std::string(kNick)));
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent);
  EXPECT_THAT(Left(kRoom), IsEmpty());
  log_.refuse_room = {};
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Left(kRoom), ElementsAre(std::string(kNick)));
}

TEST_F(RoomsTest, RM8_ItIsBlocked_AndTheOwnerDiesBeforeTheLogHasIt_TheNextOneSaysIt) {
  Client& alice = Enter(gateway_, alice_, "a");
  Elapse(std::chrono::seconds(1));
  log_.refuse_room = [](std::uint32_t, const events::v1::RoomRecord&) {
    return absl::PermissionDeniedError("not yet");
  };
  gateway_.Send(alice, Block(std::string(kRoom)));
  Settle();
  EXPECT_THAT(Left(kRoom), IsEmpty());
  log_.refuse_room = {};
  MoveTo(0, 1);
  EXPECT_THAT(Left(kRoom), ElementsAre(std::string(kNick)));
}

TEST_F(RoomsTest, RM8_ItHasLeft_TheEndOfTheSessionDoesNotSayItAgain) {
  Client& alice = Enter(gateway_, alice_, "a");
  gateway_.Send(alice, Presence("unavailable", std::string(kNick)));
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(Left(kRoom), ElementsAre(std::string(kNick)));
}

}  // namespace
}  // namespace rookery::session_manager
