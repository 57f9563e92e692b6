// Clients that take less than others send them: B3 and B4 of src/domain/delivery/README.md.
#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/metrics.h"
#include "rookery/events/homes.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SlowClients : public Cluster {
 protected:
  static constexpr int kMost = 40;
  // alice's shard stays with node 0; bob's moves from node 1 to node 2.
  SlowClients() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    for (int i = 0; i < 3; ++i) {
      node(i).settings.max_unacked_packets = kMost;
      node(i).settings.max_under_way_bytes = 65'536;
    }
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    alice = &SignIn(gateway_, alice_, "a");
  }
  Client& Slow(const std::string& resource = "b") {
    Client& bob = SignIn(other_, bob_, resource);
    other_.EnableStreamManagement(bob);
    bob.acks = false;
    Settle();
    return bob;
  }
  void Say(const std::string& id, const std::string& to, std::size_t bytes = 0) {
    xmpp::Stanza message = Message(to, id);
    if (bytes > 0) message.set_payload("<body>" + std::string(bytes, 'x') + "</body>");
    gateway_.Send(*alice, std::move(message));
    Settle();
  }
  void Compose(const std::string& to) {
    xmpp::Stanza state = xmpp::MakeMessage("chat", {}, to);
    state.set_payload("<composing xmlns='http://jabber.org/protocol/chatstates'/>");
    state.set_traits(common::v1::STANZA_TRAIT_CHAT_STATE);
    gateway_.Send(*alice, std::move(state));
    Settle();
  }
  void SayMany(int from, int to, const std::string& jid) {
    for (int i = from; i < to; ++i) gateway_.Send(*alice, Message(jid, Id(i)));
    Settle();
  }
  static std::string Id(int i) { return "m" + std::to_string(1'000 + i); }
  static std::vector<std::string> Ids(int from, int to) {
    std::vector<std::string> ids;
    for (int i = from; i < to; ++i) ids.push_back(Id(i));
    return ids;
  }
  void Move() {
    Kill(1);
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  bool Eventually(const std::function<bool()>& done) {
    return RunUntil([&] {
      if (done()) return true;
      Elapse(std::chrono::milliseconds(500));
      return done();
    });
  }
  /// The client is back, and takes all that it is given.
  Client& Back(Client& before) {
    Client& again = gateway_.Resume(before, 0);
    again.inbox.clear();
    again.acks = true;
    Settle();
    EXPECT_TRUE(again.started);
    gateway_.Deliver(again, again.last_seq);
    Settle();
    return again;
  }
  static std::vector<std::string> Missed(const Client& client) {
    session::v1::SessionManagerState state;
    EXPECT_TRUE(state.ParseFromString(client.state));
    return {state.missed_contacts().begin(), state.missed_contacts().end()};
  }
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
};

// ---- what is under way -----------------------------------------------------------

TEST_F(SlowClients, B3_NoMoreIsUnderWayThanFitsThePace_AndTheRestFollows) {
  Client& bob = Slow();
  const std::size_t before = bob.inbox.size();
  for (const char* id : {"m1", "m2", "m3", "m4", "m5"}) Say(id, bob_, 30'000);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  other_.Deliver(bob, bob.last_seq - 1);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  other_.Deliver(bob, bob.last_seq);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3", "m4", "m5"));
  EXPECT_EQ(bob.inbox.size() - before, 5u);
}

TEST_F(SlowClients, B3_TheLinkIsLostAndBack_NoMoreIsUnderWay) {
  Client& bob = Slow();
  for (const char* id : {"m1", "m2", "m3", "m4", "m5"}) Say(id, bob_, 30'000);
  for (int i = 0; i < 2; ++i) {
    other_.Relink(node(1));
    Settle();
    EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  }
  other_.Deliver(bob, bob.last_seq);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
}

TEST_F(SlowClients, B3_AStanzaLargerThanThePaceGoesAlone) {
  Client& bob = Slow();
  other_.Deliver(bob, bob.last_seq);
  for (const char* id : {"m1", "m2"}) Say(id, bob_, 100'000);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  other_.Deliver(bob, bob.last_seq);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
}

TEST_F(SlowClients, B3_ResumedElsewhere_ThePaceBeginsAnew) {
  Client& bob = Slow();
  other_.Deliver(bob, bob.last_seq);
  const std::uint64_t had = bob.last_seq;
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_, 30'000);
  Client& again = gateway_.Resume(bob, static_cast<std::uint32_t>(had - bob.base_seq));
  again.inbox.clear();
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2"));
  gateway_.Deliver(again, again.last_seq);
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(SlowClients, B3_SeveralDevices_TheQuickOneDoesNotWait) {
  Client& phone = Slow("phone");
  other_.Deliver(phone, phone.last_seq);
  Client& desk = SignIn(other_, bob_, "desk");
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_, 30'000);
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1", "m2", "m3"));
  EXPECT_THAT(phone.MessageIds(), SizeIs(2));
}

/// Thousands have asked to subscribe to bob while he was away, and alice has written to him.
class ManyRequests : public SlowClients {
 protected:
  static constexpr std::size_t kPace = 65'536;
  ManyRequests() {
    for (int i = 0; i < 3; ++i) node(i).settings.max_unacked_packets = 5'000;
    for (int i = 0; i < 2'000; ++i) {
      const std::string from = "asking" + std::to_string(i) + "@localhost";
      FakeRoster::Item& item = roster_.rosters[bob_][from];
      item.pending_in = true;
      item.request = Presence("subscribe", bob_);
      item.request.set_from(from);
      item.request.set_payload("<status>" + std::string(100, 'x') + "</status>");
      asking_.push_back(from);
    }
    std::sort(asking_.begin(), asking_.end());
    SayMany(0, 3, bob_);
    bob = &SignIn(other_, bob_, "b", std::nullopt);
    other_.EnableStreamManagement(*bob);
    bob->acks = false;
    other_.Send(*bob, Presence());
    Settle();
  }
  /// The client takes what is under way.
  void Take(Client& client) {
    std::size_t bytes = 0;
    for (const xmpp::Stanza& stanza : client.Take()) {
      bytes += stanza.ByteSizeLong();
      if (stanza.type() == "subscribe") shown_.push_back(stanza.from());
      if (stanza.kind() == STANZA_KIND_MESSAGE) messages_.push_back(stanza.id());
    }
    EXPECT_LE(bytes, kPace);
    client.gateway->Deliver(client, client.last_seq);
  }
  bool TakeAll(Client& client) {
    return Eventually([&] {
      Take(client);
      return messages_.size() >= 3;
    });
  }
  void ExpectEachShownOnce() {
    std::sort(shown_.begin(), shown_.end());
    EXPECT_EQ(shown_.size(), asking_.size());
    EXPECT_TRUE(shown_ == asking_);
    EXPECT_EQ(messages_, Ids(0, 3));
  }
  std::vector<std::string> asking_, shown_, messages_;
  Client* bob = nullptr;
};

TEST_F(ManyRequests, B3_AFewAreUnderWayAtATime_AndEachIsShownOnce) {
  const std::size_t had = bob->inbox.size();
  EXPECT_GT(had, 0u);
  // It takes nothing, and is given no more.
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_EQ(bob->inbox.size(), had);
  Take(*bob);
  EXPECT_LT(shown_.size(), asking_.size() / 10);
  ASSERT_TRUE(TakeAll(*bob));
  ExpectEachShownOnce();
  EXPECT_FALSE(bob->ended);
}

TEST_F(ManyRequests, B3_ResumedInTheMiddle_EachIsShownOnce) {
  Take(*bob);
  Settle();
  EXPECT_THAT(bob->inbox, ::testing::Not(IsEmpty())) << "the next ones are under way, and lost with the link";
  Client& again = gateway_.Resume(*bob, static_cast<std::uint32_t>(bob->acked_seq - bob->base_seq));
  again.inbox.clear();
  Settle();
  ASSERT_TRUE(again.started);
  ASSERT_TRUE(TakeAll(again));
  ExpectEachShownOnce();
  EXPECT_FALSE(again.ended);
}

// ---- who has too much ------------------------------------------------------------

TEST_F(SlowClients, B4_ChatStatesDoNotEndAnAbsentSession) {
  Client& bob = Slow();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Say("m1", bob_);
  for (int i = 0; i < 2 * kMost; ++i) Compose(bob.jid);
  Say("m2", bob_);
  Client& again = Back(bob);
  ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() > 1 && again.MessageIds().back() == "m2"; }));
  const std::vector<std::string> ids = again.MessageIds();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "m1"), 1);
}

// What waits for a session has no shares of senders: one may take all that is open to others. What the others
// send is told anew then, or waits in the store, where each sender has a share.
TEST_F(SlowClients, B4_OneSenderFloodsAnAbsentSession_WhatOthersSendIsNotLost) {
  node(1).settings.max_offline_messages = 16;
  const std::string friend_of_bob = UserIn(0, 1);
  roster_.Befriend(bob_, friend_of_bob);
  Client& carol = SignIn(gateway_, friend_of_bob, "c");
  Client& bob = Slow();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  for (int i = 0; i < 2 * kMost; ++i) {
    Compose(bob.jid);
    gateway_.Send(*alice, Presence({}, bob.jid));
    gateway_.Send(*alice, Iq("result", bob.jid, "r" + std::to_string(i)));
    gateway_.Send(*alice, Message(bob_, Id(i)));
  }
  Settle();
  EXPECT_GT(node(1).domain.metrics().spared.Value(), 0);
  const auto refused = Only(alice->inbox, STANZA_KIND_MESSAGE, "error");
  EXPECT_THAT(refused, ::testing::Not(IsEmpty()));
  for (const xmpp::Stanza& error : refused)
    EXPECT_THAT(error.payload(), ::testing::HasSubstr("resource-constraint"));
  gateway_.Send(carol, Message(bob_, "carol's"));
  gateway_.Send(carol, Presence("unavailable"));
  Settle();
  EXPECT_THAT(Only(carol.inbox, STANZA_KIND_MESSAGE, "error"), IsEmpty());
  EXPECT_FALSE(bob.ended);

  Client& again = Back(bob);
  ASSERT_TRUE(
      Eventually([&] { return again.MessageIds().size() > 1 && again.MessageIds().back() == "carol's"; }));
  std::vector<std::string> ids = again.MessageIds();
  std::erase(ids, "");  // chat states
  ids.pop_back();
  EXPECT_EQ(ids, Ids(0, static_cast<int>(ids.size()))) << "those of the flood that were not refused";
  EXPECT_EQ(ids.size() + refused.size(), 2u * kMost);
  EXPECT_TRUE(Eventually([&] {
    const auto gone = Only(again.inbox, STANZA_KIND_PRESENCE, "unavailable");
    return std::any_of(gone.begin(), gone.end(), [&](const xmpp::Stanza& stanza) {
      return xmpp::BareOf(stanza.from()) == friend_of_bob;
    });
  }));
  EXPECT_FALSE(again.ended);
}

TEST_F(SlowClients, B4_MessagesForAnAbsentSession_WaitInTheStore_AndComeInOrder) {
  Client& bob = Slow();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  SayMany(0, 3 * kMost, bob_);
  Elapse(std::chrono::seconds(1));
  EXPECT_FALSE(bob.ended);
  EXPECT_GT(database_.Waiting(bob_), 0u);
  Client& again = Back(bob);
  ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() >= 3 * kMost; }));
  EXPECT_EQ(again.MessageIds(), Ids(0, 3 * kMost));
  EXPECT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 0; }));
}

TEST_F(SlowClients, B4_ThoseAddressedToTheSessionDoSo_Too) {
  Client& bob = Slow();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  SayMany(0, 3 * kMost, bob.jid);
  Client& again = Back(bob);
  ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() >= 3 * kMost; }));
  EXPECT_EQ(again.MessageIds(), Ids(0, 3 * kMost));
}

TEST_F(SlowClients, B4_AClientThatReadsSlowlyGetsAllInOrder) {
  Client& bob = Slow();
  SayMany(0, 3 * kMost, bob_);
  EXPECT_FALSE(bob.ended);
  ASSERT_TRUE(Eventually([&] {
    other_.Deliver(bob, std::min(bob.acked_seq + 10, bob.last_seq));
    return bob.MessageIds().size() >= 3 * kMost;
  }));
  EXPECT_EQ(bob.MessageIds(), Ids(0, 3 * kMost));
  EXPECT_FALSE(bob.ended);
}

TEST_F(SlowClients, B4_TheNextOwnerHandsOutTheSame) {
  Client& bob = Slow();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  SayMany(0, 2 * kMost, bob_);
  Move();
  SayMany(2 * kMost, 3 * kMost, bob_);
  Client& again = Back(bob);
  ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() >= 3 * kMost; }));
  EXPECT_EQ(again.MessageIds(), Ids(0, 3 * kMost));
}

TEST_F(SlowClients, B4_TheOwnerDiesBeforeTheStoreHasThem) {
  Client& bob = Slow();
  database_.down = true;
  SayMany(0, 2 * kMost, bob_);
  Kill(1);
  database_.down = false;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_TRUE(Eventually([&] {
    other_.Deliver(bob, std::min(bob.acked_seq + 10, bob.last_seq));
    return bob.MessageIds().size() >= 2 * kMost;
  }));
  EXPECT_EQ(bob.MessageIds(), Ids(0, 2 * kMost));
}

TEST_F(SlowClients, B4_AnotherDeviceHasThem_AndIfItDiesWithTheOwnerThisOneDoes) {
  Client& phone = Slow("phone");
  SayMany(0, kMost, bob_);
  ASSERT_FALSE(phone.ended);
  const std::size_t had = phone.MessageIds().size();
  ASSERT_LT(had, static_cast<std::size_t>(kMost));
  Client& desk = SignIn(gateway_, bob_, "desk");
  Elapse(std::chrono::seconds(1));
  desk.inbox.clear();
  desk.acks = false;
  node(1).shard_log.member = false;  // no commit succeeds
  Say("last", bob_);
  ASSERT_THAT(desk.MessageIds(), ElementsAre("last"));
  desk.forgotten = true;
  Move();
  ASSERT_TRUE(Eventually([&] {
    other_.Deliver(phone, phone.last_seq);
    const auto ids = phone.MessageIds();
    return !ids.empty() && ids.back() == "last";
  }));
}

TEST_F(SlowClients, B4_PresenceIsToldAnewWhenThereIsRoom) {
  roster_.Befriend(bob_, alice_);
  Client& bob = Slow();
  for (int i = 0; i < kMost; ++i) {
    xmpp::Stanza presence = Presence();
    presence.set_to(bob.jid);
    gateway_.Send(*alice, std::move(presence));
  }
  Settle();
  EXPECT_FALSE(bob.ended);
  gateway_.Send(*alice, Presence("unavailable"));
  Settle();
  bob.acks = true;
  other_.Deliver(bob, bob.last_seq);
  bob.inbox.clear();
  Settle();
  ASSERT_TRUE(Eventually([&] { return !Only(bob.inbox, STANZA_KIND_PRESENCE, "unavailable").empty(); }));
  session::v1::SessionManagerState state;
  ASSERT_TRUE(Eventually([&] { return state.ParseFromString(bob.state) && !state.presence_missed(); }));
}

/// bob has more contacts than packets may wait for his client, which was spared the presence of one.
class ManyContacts : public SlowClients {
 protected:
  ManyContacts() {
    roster_.Befriend(bob_, alice_);
    alice = &SignIn(gateway_, alice_, "a2");
    for (int i = 0; i < 1'001; ++i) {
      const std::string contact = "contact" + std::to_string(i) + "@localhost";
      roster_.rosters[bob_][contact].to = true;
      contacts_.insert(contact);
    }
    bob = &Slow();
    for (int i = 0; i < kMost; ++i) gateway_.Send(*alice, Presence({}, bob->jid));
    Settle();
    gateway_.Send(*alice, Presence({}, {}, 5));
    Settle();
    EXPECT_TRUE(IsMissed());
    bob->inbox.clear();
  }
  bool IsMissed() const {
    session::v1::SessionManagerState state;
    EXPECT_TRUE(state.ParseFromString(bob->state));
    return state.presence_missed();
  }
  /// The client takes what it is given, so often at most, until it is told that nothing was missed.
  void Take(int most_times) {
    while (IsMissed() && most_times-- > 0) {
      other_.Deliver(*bob, bob->last_seq);
      Settle();
      EXPECT_LE(bob->unacked.size(), static_cast<std::size_t>(kMost) / 4);
    }
  }
  void ExpectToldOfAll() {
    for (const xmpp::Stanza& stanza : Only(bob->inbox, STANZA_KIND_PRESENCE, "unavailable"))
      contacts_.erase(stanza.from());
    EXPECT_THAT(contacts_, IsEmpty());
    const auto seen = Only(bob->inbox, STANZA_KIND_PRESENCE, "");
    EXPECT_TRUE(std::any_of(seen.begin(), seen.end(),
                            [&](const xmpp::Stanza& stanza) { return stanza.from() == alice->jid; }));
    EXPECT_FALSE(IsMissed());
    EXPECT_FALSE(bob->ended);
  }
  std::set<std::string> contacts_;
  Client* bob = nullptr;
};

TEST_F(ManyContacts, B4_AreToldAnewAPortionAtATime) {
  Take(2'000);
  Settle();
  ExpectToldOfAll();
}

TEST_F(ManyContacts, B4_ItsClientTakesAPortionWhileTheLinkIsBroken_TheNextOneFollows) {
  Take(100);
  ASSERT_TRUE(IsMissed());
  other_.Unlink(node(1));
  other_.Deliver(*bob, bob->last_seq);
  const std::size_t before = bob->last_seq;
  other_.Link(node(1));
  Settle();
  EXPECT_GT(bob->last_seq, before) << "its gateway says no more of what it has taken";
  Take(2'000);
  Settle();
  ExpectToldOfAll();
}

TEST_F(ManyContacts, B4_TheOwnerDiesInTheMiddle_TheNextOneBeginsAnew) {
  Take(100);
  ASSERT_TRUE(IsMissed());
  bob->inbox.clear();
  Move();
  Take(2'000);
  Settle();
  ExpectToldOfAll();
}

TEST_F(SlowClients, B4_WhatTheUserSendsElsewhereIsCopied_HoweverMuchOthersHaveSent) {
  Client& phone = Slow("phone");
  xmpp::Stanza enable = Iq("set", {}, "carbons", "enable", "urn:xmpp:carbons:2");
  other_.Send(phone, std::move(enable));
  Client& desk = SignIn(other_, bob_, "desk");
  for (int i = 0; i < 2 * kMost; ++i) Compose(phone.jid);
  const std::size_t before = phone.last_seq;
  other_.Send(desk, Message(alice_, "mine"));
  Settle();
  EXPECT_EQ(phone.last_seq, before + 1);
  for (int i = 0; i < 2 * kMost; ++i) other_.Send(desk, Message(alice_, Id(i)));
  Settle();
  EXPECT_FALSE(phone.ended);
}

TEST_F(SlowClients, B4_RequestsToSubscribeDoNotEndASession_AndTheLastIsShownWhenThereIsRoom) {
  Client& bob = Slow();
  for (int i = 0; i < 2 * kMost; ++i) {
    gateway_.Send(*alice, Presence(i % 2 == 0 ? "unsubscribe" : "subscribe", bob_));
    Settle();
  }
  EXPECT_FALSE(bob.ended);
  EXPECT_THAT(Missed(bob), ElementsAre(alice_));
  bob.acks = true;
  bob.inbox.clear();
  other_.Deliver(bob, bob.last_seq);
  EXPECT_TRUE(Eventually([&] {
    other_.Deliver(bob, bob.last_seq);
    const auto seen = Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe");
    return !seen.empty() && seen.back().from() == alice_;
  }));
  EXPECT_TRUE(Eventually([&] { return Missed(bob).empty(); }));
}

TEST_F(SlowClients, B4_WhoseNamesAreLong_AreSoonNotNamedAnyMore_AndShownAllTheSame) {
  Client& bob = Slow();
  for (int i = 0; i < kMost; ++i) {
    gateway_.Send(*alice, Presence(i % 2 == 0 ? "unsubscribe" : "subscribe", bob_));
    Settle();
  }
  ASSERT_THAT(Missed(bob), ElementsAre(alice_));
  std::set<std::string> asking;
  for (int i = 0; asking.size() < 20; ++i) {
    const std::string user = std::string(1'000, 'x') + std::to_string(i) + "@localhost";
    if (events::ShardOfAccount(user, kShards) != 0) continue;
    database_.accounts[user];
    gateway_.Send(SignIn(gateway_, user, "r"), Presence("subscribe", bob_));
    Settle();
    asking.insert(user);
  }
  EXPECT_THAT(Missed(bob), ElementsAre(""));
  EXPECT_LT(bob.state.size(), 4'096u);
  bob.acks = true;
  bob.inbox.clear();
  EXPECT_TRUE(Eventually([&] {
    other_.Deliver(bob, bob.last_seq);
    return Missed(bob).empty();
  }));
  for (const xmpp::Stanza& request : Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"))
    asking.erase(request.from());
  EXPECT_THAT(asking, IsEmpty());
}

TEST_F(SlowClients, B4_ChangesOfTheRosterByOthersDoNotEndASession_AndComeWhenThereIsRoom) {
  Client& bob = Slow();
  bob.acks = true;
  gateway_.Send(*alice, Presence("unsubscribe", bob_));
  other_.Send(bob, Iq("get", {}, "roster", "query", "jabber:iq:roster"));
  Settle();
  bob.acks = false;
  for (int i = 0; i < 2 * kMost; ++i) {
    roster_.rosters[bob_][alice_].approved = true;  // bob has approved alice
    gateway_.Send(*alice, Presence(i % 2 == 0 ? "subscribe" : "unsubscribe", bob_));
    Settle();
  }
  EXPECT_FALSE(bob.ended);
  EXPECT_THAT(Missed(bob), ElementsAre(alice_));
  Move();
  EXPECT_FALSE(bob.ended);
  // A change of the user's own comes at once, and does not say that the client is up to date.
  other_.Send(bob, Presence("subscribe", alice_));
  Settle();
  for (const xmpp::Stanza& push : Only(bob.inbox, STANZA_KIND_IQ, "set"))
    if (push.payload().find("ask=") != std::string::npos)
      EXPECT_THAT(push.payload(), ::testing::Not(::testing::HasSubstr(" ver=")));
  bob.acks = true;
  bob.inbox.clear();
  EXPECT_TRUE(Eventually([&] {
    other_.Deliver(bob, bob.last_seq);
    const auto pushes = Only(bob.inbox, STANZA_KIND_IQ, "set");
    return !pushes.empty() && pushes.back().payload().find(alice_) != std::string::npos &&
           pushes.back().payload().find(" ver=") != std::string::npos;
  }));
}

TEST_F(SlowClients, ASubscriptionMaySayLittle) {
  Client& bob = SignIn(other_, bob_, "b");
  xmpp::Stanza request = Presence("subscribe", bob_);
  request.set_payload("<status>" + std::string(5'000, 'x') + "</status>");
  gateway_.Send(*alice, std::move(request));
  Settle();
  EXPECT_THAT(Only(bob.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
  const auto errors = Only(alice->inbox, STANZA_KIND_PRESENCE, "error");
  ASSERT_THAT(errors, SizeIs(1));
  EXPECT_THAT(errors[0].payload(), ::testing::HasSubstr("policy-violation"));
}

TEST_F(SlowClients, B4_RequestsAreAnswered_AndAnswersAreDropped) {
  Client& bob = Slow();
  for (int i = 0; i < kMost; ++i) gateway_.Send(*alice, Iq("result", bob.jid, "r" + std::to_string(i)));
  Settle();
  EXPECT_FALSE(bob.ended);
  gateway_.Send(*alice, Iq("get", bob.jid, "q", "query", "jabber:iq:version"));
  EXPECT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ, "error").empty(); }));
  const auto errors = Only(alice->inbox, STANZA_KIND_IQ, "error");
  ASSERT_THAT(errors, SizeIs(1));
  EXPECT_EQ(errors[0].id(), "q");
  EXPECT_THAT(errors[0].payload(), ::testing::HasSubstr("resource-constraint"));
}

TEST_F(SlowClients, B4_WhatAnEarlierOwnerHasGivenIsNotRefused) {
  Client& bob = Slow();
  node(1).shard_log.member = false;  // no commit succeeds
  gateway_.Send(*alice, Iq("get", bob.jid, "q", "query", "jabber:iq:version"));
  Settle();
  ASSERT_THAT(Only(bob.inbox, STANZA_KIND_IQ, "get"), SizeIs(1));
  other_.Deliver(bob, bob.last_seq);
  SayMany(0, kMost, bob_);
  Move();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ, "error"), IsEmpty());
  EXPECT_FALSE(bob.ended);
}

}  // namespace
}  // namespace rookery::session_manager
