// A session whose gateway comes late is told anew of changes of the roster, and of requests (SL12).
#include <set>

#include "late_attach.h"

namespace rookery::session_manager {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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
  /// What it is answered.
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
  // What changes later tells it no version, either.
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

}  // namespace
}  // namespace rookery::session_manager
