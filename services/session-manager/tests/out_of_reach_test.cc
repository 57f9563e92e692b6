// A gateway that was cut off from a shard's owners for minutes brings its sessions back (README.md, SL16):
// who is gone stays gone, and nothing is said twice, whatever an owner remembers by then.
#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OutOfReachTest : public Cluster {
 protected:
  static constexpr std::chrono::minutes kLong{20};  // what filters and lists of ends remember is less

  // alice's shard stays with node 0; bob's is node 1's, which his gateway is cut off from. They see each
  // other.
  OutOfReachTest() : Cluster(3), gateway_(AddGateway("gw-1")), far_(AddGateway("gw-2")) {
    log_.clock = &clock_;
    settings_.attach_timeout = std::chrono::milliseconds(0);
    for (auto& node : nodes_) node->settings.attach_timeout = settings_.attach_timeout;
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    roster_.Befriend(alice_, bob_);
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(far_, bob_, "b");
    Elapse(std::chrono::seconds(1));
    alice->inbox.clear();
    bob->inbox.clear();
  }
  std::size_t Goodbyes() { return Only(alice->inbox, STANZA_KIND_PRESENCE, "unavailable").size(); }
  std::size_t Hellos() { return Only(alice->inbox, STANZA_KIND_PRESENCE, "").size(); }
  void CutOff() {
    far_.Unlink(node(1));
    far_.Unlink(node(2));
  }
  /// Brings what was sent into the log, and no gateway hears so.
  void SettleUnheard() {
    for (bool moved = true; moved;) {
      io_.restart();
      moved = io_.poll() > 0;
      moved = PumpLog() || moved;
    }
  }
  /// Time passes, and so does other traffic: what is remembered by records' times is forgotten.
  void ElapseInTraffic(std::chrono::minutes time) {
    for (; time.count() > 0; --time) {
      Elapse(std::chrono::minutes(1));
      gateway_.Send(*alice, Message(bob_ + "/nobody", "traffic", "headline"));
      gateway_.Send(*alice, Message(alice_, "traffic", "chat"));
      Settle();
    }
    std::erase_if(alice->inbox, [](const xmpp::Stanza& stanza) { return stanza.id() == "traffic"; });
  }
  void MoveToTwo() {
    if (node(1).alive) Kill(1);
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  }
  void Heal(int number) {
    far_.Link(node(number));
    Settle();
    Elapse(std::chrono::seconds(6));
  }
  Gateway& gateway_;
  Gateway& far_;
  std::string alice_, bob_;
  Client* alice = nullptr;
  Client* bob = nullptr;
};

TEST_F(OutOfReachTest, SL16_ToTheOwnerThatHasEndedIt_HoweverLongAgo_ItIsNotSeenAgain) {
  CutOff();
  ElapseInTraffic(kLong);
  ASSERT_EQ(Goodbyes(), 1u);
  far_.End(*bob, END_REASON_CONNECTION_LOST);  // sent away meanwhile
  Heal(1);
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(Hellos(), 0u);
  EXPECT_EQ(Goodbyes(), 1u);
}

TEST_F(OutOfReachTest, SL16_ToTheOwnerThatHasEndedIt_ItsStanzasAreNotAppliedAgain) {
  far_.Send(*bob, Message(alice_, "m1"));
  SettleUnheard();
  CutOff();
  ElapseInTraffic(kLong);
  ASSERT_THAT(alice->MessageIds(), ElementsAre("m1"));
  ASSERT_FALSE(bob->unconfirmed.empty());
  Heal(1);
  EXPECT_TRUE(bob->ended);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
}

TEST_F(OutOfReachTest, SL16_ToAnOwnerThatCameAfterItsEndWasForgotten_ItIsNotSeenAgain) {
  CutOff();
  ElapseInTraffic(kLong);
  MoveToTwo();
  Elapse(std::chrono::seconds(1));
  Heal(2);
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(Hellos(), 0u);
}

TEST_F(OutOfReachTest, SL16_ToAnOwnerThatCameAfterItsEndWasForgotten_ItsStanzasAreNotAppliedAgain) {
  far_.Send(*bob, Message(alice_, "m1"));
  SettleUnheard();
  CutOff();
  ElapseInTraffic(kLong);
  MoveToTwo();
  Heal(2);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
}

TEST_F(OutOfReachTest, SL16_WhatIsListedToTheLast_NobodyHasEnded) {
  CutOff();
  far_.Send(*bob, Message(alice_, "m1"));  // waits at its gateway
  Kill(1);
  ElapseInTraffic(kLong);
  node(2).settings.attach_timeout = std::chrono::seconds(1);
  far_.Link(node(2));
  MoveToTwo();
  Elapse(std::chrono::seconds(6));
  EXPECT_FALSE(bob->ended);
  EXPECT_EQ(Goodbyes(), 0u);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1")) << "what was sent behind the attachment waits with it";
  gateway_.Send(*alice, Message(bob->jid, "m2"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m2"));
}

TEST_F(OutOfReachTest, SL16_WhatIsListedToTheLast_AndHasEndedSince_IsOver) {
  // Sessions that an earlier owner has listed are kept while a gateway has not attached.
  node(2).membership.gateways.push_back("gw-3");
  MoveToTwo();
  Elapse(std::chrono::seconds(1));
  ASSERT_FALSE(bob->ended);
  CutOff();
  ElapseInTraffic(kLong);
  ASSERT_EQ(Goodbyes(), 1u);
  bob->known_epoch = -1;
  alice->inbox.clear();
  Heal(2);
  EXPECT_TRUE(bob->ended);
  EXPECT_EQ(Hellos(), 0u);
}

TEST_F(OutOfReachTest, SL16_WhatAnOwnerNeverHadAndCannotKnow_IsOverForItsContactsToo) {
  // No owner has ended it, since its gateway is there, and only one that came later is reached.
  CutOff();
  MoveToTwo();
  Elapse(std::chrono::seconds(1));
  ElapseInTraffic(kLong);
  ASSERT_EQ(Goodbyes(), 0u);
  directory_.shards.clear();
  Kill(2);
  AddNode();
  far_.Unlink(node(3));
  Assign(1, 3);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Heal(3);
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(Goodbyes(), 1u) << "alice sees a ghost";
}

TEST_F(OutOfReachTest, SL16_ItsGatewayKeepsItUntilItsEndIsInTheLog) {
  CutOff();
  ElapseInTraffic(kLong);
  MoveToTwo();
  Elapse(std::chrono::seconds(1));
  log_.held = true;
  far_.Link(node(2));
  Settle();
  EXPECT_FALSE(bob->ended);
  log_.held = false;
  Settle();
  EXPECT_TRUE(bob->ended);
}

TEST_F(OutOfReachTest, SL16_WithinWhatAnOwnerKnows_ItIsTaken) {
  CutOff();
  MoveToTwo();
  Elapse(std::chrono::seconds(60));
  Heal(2);
  EXPECT_FALSE(bob->ended);
  gateway_.Send(*alice, Message(bob->jid, "m1"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(OutOfReachTest, SL16_WhereNobodyHasOwnedTheShard_ItIsTaken) {
  Kill(1);
  owners_.erase(1);
  Elapse(kLong);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_FALSE(bob->ended);
  gateway_.Send(*alice, Message(bob->jid, "m1"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(OutOfReachTest, SL16_WhatTheStoreKnowsToBeLogged_IsNotAppliedAgain) {
  settings_.resume_timeout = std::chrono::hours(1);
  for (int number : {1, 2}) node(number).settings.resume_timeout = settings_.resume_timeout;
  far_.EnableStreamManagement(*bob);
  far_.Send(*bob, Message(alice_, "m1"));
  SettleUnheard();
  CutOff();
  ElapseInTraffic(kLong);
  ASSERT_THAT(alice->MessageIds(), ElementsAre("m1"));
  MoveToTwo();
  Heal(2);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->unconfirmed, IsEmpty());
}

// The row is read when the gateway has brought the session.
TEST_F(OutOfReachTest, SL16_WhatTheStoreKnowsToBeLogged_ItsGatewayCameFirst_IsNotAppliedAgain) {
  settings_.resume_timeout = std::chrono::hours(1);
  for (int number : {1, 2}) node(number).settings.resume_timeout = settings_.resume_timeout;
  node(2).settings.attach_timeout = std::chrono::seconds(5);
  far_.EnableStreamManagement(*bob);
  far_.Send(*bob, Message(alice_, "m1"));
  SettleUnheard();
  far_.Unlink(node(1));
  // For less long than ends are remembered: it does not wait for the store.
  ElapseInTraffic(std::chrono::minutes(3));
  ASSERT_THAT(alice->MessageIds(), ElementsAre("m1"));
  ASSERT_EQ(database_.parked.size(), 1u);
  MoveToTwo();
  Settle();
  Elapse(std::chrono::seconds(6));
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m1"));
  const auto records = log_.Records(0);
  EXPECT_EQ(std::count_if(records.begin(), records.end(),
                          [](const auto& record) { return record.delivery().stanza().id() == "m1"; }),
            1);
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->unconfirmed, IsEmpty());
}

}  // namespace
}  // namespace rookery::session_manager
