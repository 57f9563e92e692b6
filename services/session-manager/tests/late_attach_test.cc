// A gateway that was out of reach brings its sessions when the shard's new owner has read the log
// without them (README.md, SL12): nothing is given twice, nothing is lost, and the stream goes on.
#include <gmock/gmock.h>

#include <set>
#include <string>

#include "cluster.h"
#include "domain/delivery/late_claim.h"
#include "domain/delivery/late_sessions.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class LateAttachTest : public Cluster {
 protected:
  // alice's shard stays with node 0; bob's moves from node 1 to node 2, which does not see his gateway.
  LateAttachTest() : Cluster(3), gateway_(AddGateway("gw-1")), late_(AddGateway("gw-2")) {
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(late_, bob_, "b");
    late_.EnableStreamManagement(*bob);
    node(1).shard_log.member = false;  // no commit succeeds: all of the log is read again
  }
  void Say(const std::string& id, const std::string& to) {
    gateway_.Send(*alice, Message(to, id));
    Settle();
  }
  void MoveWithoutIt() {
    late_.Unlink(node(2));
    for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
    Kill(1);
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  void ItComes() {
    late_.Link(node(2));
    Settle();
    Elapse(std::chrono::seconds(6));
  }
  /// From node 2 to node 0, which has seen his gateway all the time.
  void MoveOn() {
    Revoke(1, 2);
    Assign(1, 0);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(2));
  }
  static auto Told(const Client& client, const std::string& from, const std::string& type) {
    const auto presences = Only(client.inbox, common::v1::STANZA_KIND_PRESENCE, type);
    return std::count_if(presences.begin(), presences.end(),
                         [&](const xmpp::Stanza& presence) { return presence.from() == from; });
  }
  /// Returns what a session that begins now is given.
  std::vector<std::string> NextSession() {
    Client& next = SignIn(gateway_, bob_, "next", std::nullopt);
    gateway_.Send(next, Presence());
    Settle();
    Elapse(std::chrono::seconds(1));
    return next.MessageIds();
  }
  Gateway& gateway_;
  Gateway& late_;
  std::string alice_, bob_;
  Client* alice = nullptr;
  Client* bob = nullptr;
};

TEST_F(LateAttachTest, SL12_WhatItsClientHasAcknowledged_IsNotGivenAgain) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  ASSERT_EQ(database_.Waiting(bob_), 2u) << "as for somebody who is away";
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_OnlyAnOwnerInBetweenDidNotSeeIt_NothingIsGivenAgain) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  MoveOn();
  late_.Send(*bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_AnOwnerInBetweenDidNotSeeIt_TheNextIsNotDone_TheOneAfterThatIs) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  bool is_open = false;
  database_.on_slow = [&is_open](std::string_view call) -> Task<void> {
    while (call == "LoadOffline" && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  MoveOn();
  const std::int64_t known = bob->known_epoch;
  late_.Link(node(2));
  Settle();
  Kill(0);
  is_open = true;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_EQ(node(2).domain.shards().Find(1)->former_epoch, known) << "it was not missed by the last one";
  Elapse(std::chrono::seconds(2));
  late_.Send(*bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_TRUE(RunUntil([&] {
    session::v1::SessionManagerState state;
    return state.ParseFromString(bob->state) && !state.has_late_offset();
  }));
}

TEST_F(LateAttachTest, SL12_AnOwnerInBetweenDidNotSeeIt_ItIsParked_TheOneAfterThatKnows) {
  Say("m1", bob_);
  MoveWithoutIt();
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  database_.on_slow = [](std::string_view call) -> Task<void> {
    while (call == "LoadOffline") co_await runtime::Sleep(std::chrono::hours(1));
  };
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  MoveOn();
  ASSERT_TRUE(RunUntil([&] { return bob->parked; }));
  database_.on_slow = {};
  Kill(0);
  late_.Link(node(2));
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1) && database_.Waiting(bob_) == 0; }));
  Client& again = late_.Resume(*bob, static_cast<std::uint32_t>(bob->last_seq - bob->base_seq));
  Settle();
  ASSERT_TRUE(again.started);
  late_.Send(again, Presence());
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, ItsResourceHasANewerSession_ContactsKeepWhatThatOneHasSaid) {
  const std::string carol_ = UserIn(0, 3);
  roster_.Befriend(bob_, carol_);
  Client& carol = SignIn(gateway_, carol_, "c");
  MoveWithoutIt();
  Client& again = SignIn(gateway_, bob_, "b");
  Settle();
  carol.inbox.clear();
  late_.Send(*bob, Presence());
  late_.Send(*bob, Message(carol_, "m1"));
  ItComes();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_FALSE(again.ended);
  EXPECT_THAT(carol.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Only(carol.inbox, common::v1::STANZA_KIND_PRESENCE, ""), IsEmpty());
  EXPECT_THAT(Only(carol.inbox, common::v1::STANZA_KIND_PRESENCE, "unavailable"), IsEmpty());
}

TEST_F(LateAttachTest, W9_ItsEndIsInTheLog_WhatItHadIsNotHandedOutToItBefore) {
  node(1).shard_log.member = true;
  bob->acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  node(1).shard_log.member = false;
  // Its gateway stands still, and knows that its client has the message.
  late_.Unlink(node(1));
  bob->acked_seq = bob->last_seq;
  bob->unacked.clear();
  Elapse(settings_.resume_timeout + settings_.link_grace + std::chrono::seconds(5));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_TRUE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_PresenceThatItHasMissed_IsToldAnew_AndItsOwn) {
  const std::string carol_ = UserIn(0, 3), dave_ = UserIn(0, 5);
  roster_.Befriend(bob_, carol_);
  roster_.Befriend(bob_, dave_);
  Client& carol = SignIn(gateway_, carol_, "c");
  gateway_.Send(*alice, Presence());
  Settle();
  MoveWithoutIt();
  bob->inbox.clear();
  gateway_.Send(carol, Presence("unavailable"));
  Client& dave = SignIn(gateway_, dave_, "d");
  gateway_.Send(dave, Presence());
  Settle();
  ASSERT_THAT(bob->inbox, IsEmpty());
  ItComes();
  EXPECT_EQ(Told(*bob, carol_, "unavailable"), 1);
  EXPECT_EQ(Told(*bob, carol.jid, ""), 0);
  EXPECT_EQ(Told(*bob, dave.jid, ""), 1);
  EXPECT_EQ(Told(dave, bob->jid, ""), 1);
}

class MissedInBetweenTest : public LateAttachTest {
 protected:
  MissedInBetweenTest() {
    roster_.Befriend(bob_, carol_);
    roster_.Befriend(bob_, dave_);
    carol = &SignIn(gateway_, carol_, "c");
    MoveWithoutIt();
    bob->inbox.clear();
    gateway_.Send(*carol, Presence("unavailable"));
    dave = &SignIn(gateway_, dave_, "d");
    Elapse(std::chrono::seconds(2));
    EXPECT_EQ(Told(*bob, carol->jid, "unavailable"), 0);
  }
  void ExpectToldAnew() {
    EXPECT_EQ(Told(*bob, carol_, "unavailable"), 1);
    EXPECT_EQ(Told(*bob, carol->jid, ""), 0);
    EXPECT_EQ(Told(*bob, dave->jid, ""), 1);
    EXPECT_EQ(Told(*dave, bob->jid, ""), 1);
  }
  bool IsMissed() const {
    session::v1::SessionManagerState state;
    return state.ParseFromString(bob->state) && state.presence_missed();
  }
  const std::string carol_ = UserIn(0, 3), dave_ = UserIn(0, 5);
  Client* carol = nullptr;
  Client* dave = nullptr;
};

TEST_F(MissedInBetweenTest, SL12_Presence_IsToldAnew_AndItsOwn) {
  MoveOn();
  ExpectToldAnew();
  EXPECT_FALSE(IsMissed());
}

TEST_F(MissedInBetweenTest, SL12_OnlyTheLogTellsOfThatOwner_PresenceIsToldAnew) {
  directory_.down = true;
  MoveOn();
  ExpectToldAnew();
}

TEST_F(MissedInBetweenTest, SL12_TheOwnerDiesBeforeItIsLive_TheNextOneKnows) {
  Revoke(1, 2);
  database_.down = true;
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return IsMissed(); }));
  ASSERT_FALSE(IsLive(1));
  const std::int64_t known = bob->known_epoch;
  Kill(0);
  database_.down = false;
  late_.Link(node(2));
  Assign(0, 2);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  ASSERT_EQ(node(2).domain.shards().Find(1)->former_epoch, known) << "it was not missed by the last one";
  Elapse(std::chrono::seconds(2));
  ExpectToldAnew();
}

// ---- the roster ----------------------------------------------------------------

class MissedRosterTest : public LateAttachTest {
 protected:
  MissedRosterTest() {
    late_.Send(*bob, Iq("get", {}, "r", "query", "jabber:iq:roster"));
    Settle();
  }
  /// Another device of bob's adds carol, and alice asks to see him.
  void ChangeWithoutIt() {
    MoveWithoutIt();
    bob->inbox.clear();
    Client& other = SignIn(gateway_, bob_, "other", std::nullopt);
    xmpp::Stanza iq = Iq("set", {}, "s", "query", "jabber:iq:roster");
    xmpp::Element query("query", "jabber:iq:roster");
    query.Add("item").SetAttr("jid", carol_);
    xmpp::SetPayload(iq, query);
    gateway_.Send(other, iq);
    gateway_.Send(*alice, Presence("subscribe", bob_));
    Settle();
    Elapse(std::chrono::seconds(1));
    ASSERT_EQ(roster_.rosters[bob_].count(carol_), 1u);
    ASSERT_TRUE(roster_.rosters[bob_][alice_].pending_in);
    ASSERT_THAT(bob->inbox, IsEmpty());
  }
  std::vector<xmpp::Stanza> Pushes() const { return Only(bob->inbox, common::v1::STANZA_KIND_IQ, "set"); }
  void ExpectToldAnew() {
    const auto pushes = Pushes();
    ASSERT_EQ(pushes.size(), 1u);
    EXPECT_THAT(pushes.back().payload(), HasSubstr("jid=\"" + carol_ + "\""));
    EXPECT_THAT(pushes.back().payload(), Not(HasSubstr("ver="))) << "it does not know what was removed";
    EXPECT_EQ(Told(*bob, alice_, "subscribe"), 1);
    EXPECT_EQ(MissedContacts(), 0);
  }
  int MissedContacts() const {
    session::v1::SessionManagerState state;
    EXPECT_TRUE(state.ParseFromString(bob->state));
    return state.missed_contacts_size();
  }
  const std::string carol_ = UserIn(0, 3);
};

TEST_F(MissedRosterTest, SL12_ChangesAndRequestsThatItHasMissed_AreToldAnew) {
  ChangeWithoutIt();
  ItComes();
  ExpectToldAnew();
}

TEST_F(MissedRosterTest, SL12_AnOwnerInBetweenHasReadWithoutIt_ItIsToldAnew) {
  ChangeWithoutIt();
  MoveOn();
  ExpectToldAnew();
}

TEST_F(MissedRosterTest, SL12_OnlyTheLogTellsOfThatOwner_ItIsToldAnew) {
  ChangeWithoutIt();
  directory_.down = true;
  MoveOn();
  ExpectToldAnew();
}

TEST_F(MissedRosterTest, SL12_TheOwnerDiesBeforeItIsLive_TheNextOneKnows) {
  ChangeWithoutIt();
  Revoke(1, 2);
  database_.down = true;
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return MissedContacts() == 1; }));
  ASSERT_FALSE(IsLive(1));
  Kill(0);
  database_.down = false;
  late_.Link(node(2));
  Assign(0, 2);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  ExpectToldAnew();
}

TEST_F(MissedRosterTest, SL12_MoreThanItsClientMayLeaveUnacknowledged_InPortions) {
  for (auto& node : nodes_) node->settings.max_unacked_packets = 64;
  constexpr int kItems = 100;
  for (int i = 0; i < kItems; ++i) roster_.rosters[bob_][UserIn(2, i)].name = "x";
  MoveWithoutIt();
  bob->inbox.clear();
  ItComes();
  EXPECT_TRUE(RunUntil([&] { return MissedContacts() == 0; }));
  EXPECT_FALSE(bob->ended);
  std::set<std::string> told;
  for (const xmpp::Stanza& push : Pushes()) told.insert(push.payload().substr(push.payload().find("jid=")));
  EXPECT_EQ(told.size(), static_cast<std::size_t>(kItems));
  EXPECT_EQ(Pushes().size(), static_cast<std::size_t>(kItems)) << "each once";
  for (const xmpp::Stanza& push : Pushes()) EXPECT_THAT(push.payload(), Not(HasSubstr("ver=")));
}

TEST_F(MissedRosterTest, SL12_WhatChangesBetweenThePortions_IsToldToo) {
  for (auto& node : nodes_) node->settings.max_unacked_packets = 64;
  roster_.rosters[bob_][alice_].to = roster_.rosters[alice_][bob_].from = true;
  for (int i = 0; i < 40; ++i) roster_.rosters[bob_]["~" + std::to_string(i) + "@localhost"].name = "x";
  const std::string item = "jid=\"" + alice_ + "\"";
  MoveWithoutIt();
  bob->inbox.clear();
  bob->acks = false;
  ItComes();
  ASSERT_EQ(MissedContacts(), 1) << "its client has taken the first portion only";
  ASSERT_THAT(Pushes().front().payload(), HasSubstr(item));
  // Full, it is not told of what others cause.
  for (int i = 0; i < 64; ++i) Say("m" + std::to_string(i), bob->jid);
  gateway_.Send(*alice, Presence("unsubscribed", bob_));
  Settle();
  ASSERT_FALSE(roster_.rosters[bob_][alice_].to);
  bob->acks = true;
  late_.Deliver(*bob, bob->last_seq);
  EXPECT_TRUE(RunUntil([&] { return MissedContacts() == 0; }));
  EXPECT_FALSE(bob->ended);
  std::string newest;
  for (const xmpp::Stanza& push : Pushes())
    if (push.payload().find(item) != std::string::npos) newest = push.payload();
  EXPECT_THAT(newest, HasSubstr("subscription=\"none\""));
}

/// Its client asks for the roster by version (RFC 6121 section 2.6).
class VersionedRosterTest : public MissedRosterTest {
 protected:
  VersionedRosterTest() {
    for (const std::string& contact : {carol_, dave_}) roster_.rosters[bob_][contact].name = "x";
    EXPECT_THAT(Get(), HasSubstr(carol_));
  }
  /// The newest version that its client was told.
  std::string Known() const {
    std::string known;
    for (const xmpp::Stanza& iq : Only(bob->inbox, common::v1::STANZA_KIND_IQ)) {
      const auto at = iq.payload().find("ver=\"");
      if (at != std::string::npos)
        known = iq.payload().substr(at + 5, iq.payload().find('"', at + 5) - at - 5);
    }
    return known;
  }
  /// Asks for the roster, and returns the answer.
  std::string Get() {
    xmpp::Stanza get = Iq("get", {}, "g" + std::to_string(++gets_), "query", "jabber:iq:roster");
    xmpp::Element query("query", "jabber:iq:roster");
    query.SetAttr("ver", Known());
    xmpp::SetPayload(get, query);
    late_.Send(*bob, get);
    Settle();
    const auto answers = Only(bob->inbox, common::v1::STANZA_KIND_IQ, "result");
    return answers.empty() ? std::string() : answers.back().payload();
  }
  void ChangeItem(Client& by, const std::string& contact, const std::string& attribute,
                  const std::string& value) {
    xmpp::Stanza set = Iq("set", {}, "s" + contact, "query", "jabber:iq:roster");
    xmpp::Element query("query", "jabber:iq:roster");
    query.Add("item").SetAttr("jid", contact).SetAttr(attribute, value);
    xmpp::SetPayload(set, query);
    gateway_.Send(by, set);
    Settle();
  }
  const std::string dave_ = UserIn(0, 4);
  int gets_ = 0;
};

TEST_F(VersionedRosterTest, SL12_AnotherDeviceHasRemovedAnItem_ItSeesThatWhenItAsksNext) {
  MoveWithoutIt();
  Client& other = SignIn(gateway_, bob_, "other", std::nullopt);
  ChangeItem(other, carol_, "subscription", "remove");
  ASSERT_EQ(roster_.rosters[bob_].count(carol_), 0u);
  ItComes();
  ASSERT_EQ(MissedContacts(), 0);
  ASSERT_THAT(Pushes().back().payload(), HasSubstr(dave_));
  // A later change tells it no version, either.
  ChangeItem(other, dave_, "name", "y");
  ASSERT_THAT(Pushes().back().payload(), HasSubstr("name=\"y\""));
  const std::string answer = Get();
  EXPECT_THAT(answer, HasSubstr(dave_));
  EXPECT_THAT(answer, Not(HasSubstr(carol_)));
  // Now it has everything.
  ChangeItem(other, dave_, "name", "z");
  EXPECT_THAT(Pushes().back().payload(), HasSubstr("ver=\"" + Known() + "\""));
  EXPECT_EQ(Get(), "");
}

// ---- rooms --------------------------------------------------------------------

class MissedRoomsTest : public LateAttachTest {
 protected:
  MissedRoomsTest() {
    late_.Send(*bob, Presence({}, kOccupant));
    late_.Send(*bob, Presence({}, alice_));
    Settle();
    MoveWithoutIt();
    bob->inbox.clear();
  }
  std::vector<events::v1::RoomRecord> Said() const {
    return log_.RoomRecords(std::string(xmpp::BareOf(kOccupant)));
  }
  void ExpectSaidAgain() {
    ASSERT_EQ(Said().size(), 2u);
    const xmpp::Stanza again = Said().back().delivery().stanza();
    EXPECT_EQ(again.kind(), common::v1::STANZA_KIND_PRESENCE);
    EXPECT_EQ(again.type(), "probe");
    EXPECT_EQ(again.payload(), "") << "what others were told is not for rooms";
    EXPECT_EQ(again.from(), bob->jid);
    EXPECT_EQ(again.to(), kOccupant);
    session::v1::SessionManagerState state;
    ASSERT_TRUE(state.ParseFromString(bob->state));
    EXPECT_FALSE(state.rooms_missed());
    EXPECT_EQ(state.directed_size(), 2);
  }
  const std::string kOccupant = "coven@conference.localhost/bob";
};

TEST_F(MissedRoomsTest, RM7_ItsGatewayComesLate_ItsRoomsAreAskedWhetherItIsIn) {
  ItComes();
  ExpectSaidAgain();
}

TEST_F(MissedRoomsTest, RM7_AnOwnerInBetweenHasReadWithoutIt) {
  MoveOn();
  ExpectSaidAgain();
}

TEST_F(MissedRoomsTest, RM7_OnlyTheLogTellsOfThatOwner) {
  directory_.down = true;
  MoveOn();
  ExpectSaidAgain();
}

TEST_F(MissedRoomsTest, RM7_TheOwnerDiesBeforeItIsLive_TheNextOneKnows) {
  Revoke(1, 2);
  database_.down = true;
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] {
    session::v1::SessionManagerState state;
    return state.ParseFromString(bob->state) && state.rooms_missed();
  }));
  ASSERT_FALSE(IsLive(1));
  Kill(0);
  database_.down = false;
  late_.Link(node(2));
  Assign(0, 2);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  ExpectSaidAgain();
}

TEST_F(LateAttachTest, SL2_AnOwnerInBetweenHasParkedANewerSessionOfItsResource_ItIsOver) {
  const std::string carol_ = UserIn(0, 3);
  roster_.Befriend(bob_, carol_);
  Client& carol = SignIn(gateway_, carol_, "c");
  MoveWithoutIt();
  Client& again = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(again);
  gateway_.End(again, END_REASON_CONNECTION_LOST);
  Elapse(std::chrono::seconds(2));
  ASSERT_TRUE(again.parked);
  carol.inbox.clear();
  MoveOn();
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "conflict");
  EXPECT_EQ(Told(carol, bob->jid, ""), 0) << "it is the newer one that contacts see";
  EXPECT_EQ(Told(carol, bob->jid, "unavailable"), 0);
  Say("m1", again.jid);
  Client& resumed = gateway_.Resume(again, 0);
  Settle();
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_AnOwnerInBetweenHadIt_AndHadNothingToSayOfIt_NothingIsToldAnew) {
  const std::string carol_ = UserIn(0, 3);
  roster_.Befriend(bob_, carol_);
  Client& carol = SignIn(gateway_, carol_, "c");
  node(1).shard_log.member = true;
  Elapse(std::chrono::seconds(2));
  Revoke(1, 1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  carol.inbox.clear();
  bob->inbox.clear();
  MoveOn();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->inbox, IsEmpty());
  EXPECT_THAT(carol.inbox, IsEmpty());
}

TEST_F(LateAttachTest, SL12_WhatIsUnacknowledged_IsKeptForItAndReplayed) {
  bob->acks = false;
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(NextSession(), IsEmpty()) << "it may have them";
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = gateway_.Resume(*bob, 1);
  resumed.inbox.clear();
  resumed.acks = true;
  Settle();
  ASSERT_TRUE(resumed.started);
  EXPECT_FALSE(resumed.ended);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m2"));
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(LateAttachTest, SL12_APacketThatTheStoreHadAndItsClientHasAcknowledged_IsNotGivenAgain) {
  node(1).shard_log.member = true;
  bob->acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 1u);
  MoveWithoutIt();
  ASSERT_EQ(database_.Waiting(bob_), 1u) << "as of a session that nobody has";
  late_.Deliver(*bob, bob->last_seq);
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_APacketThatTheStoreHadAndItsClientHasNotAcknowledged_IsReplayed) {
  node(1).shard_log.member = true;
  bob->acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 1u);
  MoveWithoutIt();
  ItComes();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = gateway_.Resume(*bob, 0);
  resumed.inbox.clear();
  Settle();
  ASSERT_TRUE(resumed.started);
  EXPECT_FALSE(resumed.ended);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_WhatIsUnacknowledged_IsNotLostWhenTheSessionEnds) {
  bob->acks = false;
  Say("m1", bob_);
  MoveWithoutIt();
  ItComes();
  late_.End(*bob, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_WhatIsUnacknowledged_LookedForTwice_IsNotTakenForAcknowledged) {
  bob->acks = false;
  Say("m1", bob_);
  MoveWithoutIt();
  int calls = 0;
  bool is_open = false;
  bool is_passed = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    const bool is_first = call == "LoadOffline" && calls++ == 0;
    while (is_first && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
    is_passed = is_passed || is_first;
  };
  late_.Link(node(2));
  ASSERT_TRUE(RunUntil([&] { return calls >= 3; }));
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return is_passed; }));
  Settle();
  late_.End(*bob, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
  database_.on_slow = {};
}

TEST_F(LateAttachTest, SL12_WhatCameMeanwhile_IsGivenOnce) {
  Say("m1", bob_);
  MoveWithoutIt();
  Say("m2", bob_);
  Say("m3", bob_ + "/b");
  ItComes();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "m3"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  Say("m4", bob_);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
}

class LateResumptionTest : public LateAttachTest {
 protected:
  // Bob's client has left his gateway, which is registered and has not brought his session.
  LateResumptionTest() {
    Say("m1", bob_);
    MoveWithoutIt();
    for (auto& node : nodes_) node->membership.gateways.push_back("gw-2");
    late_.End(*bob, END_REASON_CONNECTION_LOST);
    resumed = &gateway_.Resume(*bob, 1);
    Settle();
    EXPECT_THAT(resumed->resume_answers, IsEmpty());
  }
  void ExpectRefused() {
    ASSERT_EQ(resumed->resume_answers.size(), 1u);
    EXPECT_TRUE(resumed->resume_answers[0].has_failure());
  }
  Client* resumed = nullptr;
};

TEST_F(LateResumptionTest, SL5_TheGatewayBringsIt_Resumed) {
  late_.Link(node(2));
  Settle();
  EXPECT_EQ(resumed->resume_answers.size(), 1u);
  EXPECT_TRUE(resumed->started);
  EXPECT_FALSE(resumed->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(LateResumptionTest, SL5_TheGatewayHasIt_OfTwoAttemptsTheNewerCounts) {
  Client& again = gateway_.Resume(*bob, 1);
  Settle();
  late_.Link(node(2));
  Settle();
  EXPECT_TRUE(again.started);
  EXPECT_THAT(resumed->resume_answers, IsEmpty());
}

TEST_F(LateResumptionTest, SL5_TheGatewayDoesNotHaveIt_Refused) {
  bob->forgotten = true;
  late_.Link(node(2));
  Settle();
  ExpectRefused();
}

TEST_F(LateResumptionTest, SL5_TheGatewayIsRegisteredNoMore_Refused) {
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  Elapse(std::chrono::seconds(1));
  ExpectRefused();
}

TEST_F(LateResumptionTest, SL5_TheGatewayDoesNotCome_RefusedInTime) {
  Elapse(std::chrono::seconds(8));
  EXPECT_THAT(resumed->resume_answers, IsEmpty());
  Elapse(std::chrono::seconds(3));
  ExpectRefused();
}

TEST_F(LateAttachTest, SL12_WhatCameMeanwhile_IsGivenWhenItsClientIsBack) {
  Say("m1", bob_);
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  MoveWithoutIt();
  Say("m2", bob_);
  ItComes();
  Client& resumed = gateway_.Resume(*bob, 1);
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(resumed.started);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(LateAttachTest, SL12_WhatWasStoredBeforeNewerOnesWereGiven_IsNotTakenForGiven) {
  late_.End(*bob, END_REASON_CLOSED);
  Settle();
  Client& quiet = SignIn(late_, bob_, "q", std::nullopt);
  late_.EnableStreamManagement(quiet);
  node(1).shard_log.member = true;
  Say("m1", bob_);
  Say("m2", bob_ + "/q");
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  MoveWithoutIt();
  ItComes();
  late_.Send(quiet, Presence());
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(quiet.MessageIds(), ElementsAre("m2", "m1"));
}

TEST_F(LateAttachTest, SL12_WhatWasStoredBefore_IsGivenAsToAnybody) {
  // It was not available when m1 came.
  late_.Send(*bob, Presence("unavailable"));
  Settle();
  Say("m1", bob_);
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  ItComes();
  late_.Send(*bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(1));
  const std::vector<std::string> ids = bob->MessageIds();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "m1"), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "m2"), 1);
}

TEST_F(LateAttachTest, SL12_TheNextOwnerAfterThat_GivesNothingAgain) {
  bob->acks = false;
  Say("m1", bob_);
  MoveWithoutIt();
  ItComes();
  Kill(2);
  const int third = AddNode().number;
  Assign(1, third);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  late_.Deliver(*bob, bob->last_seq);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

// ---- the decision -----------------------------------------------------------

class LateClaimTest : public ::testing::Test {
 protected:
  LateClaimTest() {
    session.jid = xmpp::Jid::FromTrusted("bob@localhost/b");
    session.state.set_start_offset(10);
    session.late_offset = session.last_offset = 20;
  }
  void Unacknowledged(std::int64_t offset, std::uint64_t stored_id = 0) {
    UnackedPacket packet;
    packet.seq = ++session.last_seq;
    packet.offset = offset;
    packet.stored_id = stored_id;
    session.unacked.push_back(std::move(packet));
  }
  Session session;
};

TEST_F(LateClaimTest, OnlyWhatItCanHaveBeenGiven) {
  EXPECT_EQ(ClaimOf(session, 10, "bob@localhost"), LateClaim::kNone) << "before it began";
  EXPECT_EQ(ClaimOf(session, 11, "bob@localhost"), LateClaim::kAcknowledged);
  EXPECT_EQ(ClaimOf(session, 20, "bob@localhost/b"), LateClaim::kAcknowledged);
  EXPECT_EQ(ClaimOf(session, 21, "bob@localhost"), LateClaim::kNone) << "newer than all that it has";
}

TEST_F(LateClaimTest, ASessionThatWasThereInTimeClaimsNothing) {
  session.late_offset = -1;
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kNone);
}

TEST_F(LateClaimTest, NotAnotherSessionsMessages) {
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost/desk"), LateClaim::kNone);
  Unacknowledged(15);  // its carbon copy
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost/desk"), LateClaim::kNone);
}

TEST_F(LateClaimTest, NotWhatWentToTheStoreWhileItWasThere) {
  auto& range = *session.state.add_passed_over();
  range.set_first(14);
  range.set_last(16);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kNone);
  EXPECT_EQ(ClaimOf(session, 17, "bob@localhost"), LateClaim::kAcknowledged);
}

TEST_F(LateClaimTest, OfNegativePriority_OnlyWhatIsForItsFullJid) {
  session.state.set_priority(-1);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kNone);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost/b"), LateClaim::kAcknowledged);
}

TEST_F(LateClaimTest, APacketWithoutItsStanza_WaitsForTheRow) {
  Unacknowledged(15);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kUnacknowledged);
  ASSERT_NE(FindEmptyPacket(session, 15), nullptr);
  FindEmptyPacket(session, 15)->delivery = std::make_shared<Delivery>();
  EXPECT_EQ(FindEmptyPacket(session, 15), nullptr);
}

/// Node 2 has not seen bob's session, and begins another one of its name; node 3 has not seen that one, but
/// bob's, whose client is gone; node 0 sees both.
class TwoOfOneNameTest : public LateAttachTest {
 protected:
  TwoOfOneNameTest() {
    MoveWithoutIt();
    node(2).shard_log.member = false;
    again_ = &SignIn(gateway_, bob_, "b");
    gateway_.EnableStreamManagement(*again_);
  }
  /// To node 3, which reads once more what node 2 has.
  void MoveToTheOther() {
    late_.End(*bob, END_REASON_CONNECTION_LOST);
    Node& third = AddNode();
    gateway_.Unlink(third);
    std::erase(third.membership.gateways, "gw-1");
    Kill(2);
    Assign(1, third.number);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(settings_.window_time + std::chrono::seconds(2));
    ASSERT_TRUE(bob->parked);
  }
  void MoveOn() {
    Assign(1, 0);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(2));
    EXPECT_FALSE(again_->ended);
    EXPECT_EQ(database_.Waiting(bob_), 0u);
    EXPECT_TRUE(database_.packets.empty());
  }
  Client* again_ = nullptr;
};

TEST_F(TwoOfOneNameTest, W11_TheNewerOneWasGivenIt_ItIsNotGivenItOnceMore) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  EXPECT_THAT(again_->MessageIds(), ElementsAre("m1", "m2"));
  MoveToTheOther();
  Kill(3);
  MoveOn();
  EXPECT_THAT(again_->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(TwoOfOneNameTest, W11_TheNewerOneIsGivenWhatTheOlderOneLeaves_AndThenWhatCameLater) {
  MoveToTheOther();
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  Elapse(settings_.window_time + std::chrono::seconds(2));
  Kill(3);
  Say("m3", bob_);
  Say("m4", bob_ + "/b");
  MoveOn();
  EXPECT_THAT(again_->MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_WhoLetItSeeNothingMeanwhile_IsForgotten) {
  late_.Send(*bob, Presence("subscribe", alice_));
  Settle();
  gateway_.Send(*alice, Presence("subscribed", bob_));
  Settle();
  ASSERT_EQ(Told(*bob, alice_ + "/a", ""), 1);
  MoveWithoutIt();
  gateway_.Send(*alice, Presence("unsubscribed", bob_));
  Settle();
  bob->inbox.clear();
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_GE(Told(*bob, alice_, "unavailable"), 1);
  EXPECT_EQ(Told(*bob, alice_ + "/a", ""), 0);
}

TEST_F(LateAttachTest, W11_TheOlderOneHasTakenAllBeforeItsEnd_WhatHasWaitedForItComesFirst) {
  bob->acks = false;
  Say("m0", bob_ + "/b");
  MoveWithoutIt();
  Client& again = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(again);
  Settle();
  again.inbox.clear();
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_session_ended() ? absl::InternalError("refused") : absl::OkStatus();
  };
  late_.Link(node(2));
  Settle();
  Say("m1", bob_);
  ASSERT_THAT(again.MessageIds(), IsEmpty()) << "behind what the older one leaves";
  late_.Deliver(*bob, bob->last_seq);
  Say("m2", bob_);
  log_.refuse = {};
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2"));
}

}  // namespace
}  // namespace rookery::session_manager
