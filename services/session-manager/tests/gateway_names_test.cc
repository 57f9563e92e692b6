#include <algorithm>
#include <deque>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"
#include "domain/outbound/gateways.h"

namespace rookery::session_manager {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

/// The session-manager's end of a link to a process that calls itself gw-9.
class Peer final : public GatewayPeer {
 public:
  explicit Peer(Incarnation life) : life_(life) {}
  const std::string& instance() const override { return name_; }
  const Incarnation& incarnation() const override { return life_; }
  SessionManagerAction& Add() override { return actions.emplace_back(); }
  bool is_congested() const override { return false; }
  void Close() override { closed = true; }

  bool Was(SessionManagerAction::ActionCase what) const {
    return std::any_of(actions.begin(), actions.end(),
                       [what](const auto& action) { return action.action_case() == what; });
  }

  std::deque<SessionManagerAction> actions;
  bool closed = false;

 private:
  const std::string name_ = "gw-9";
  const Incarnation life_;
};

class GatewayNamesTest : public Cluster {
 protected:
  GatewayNamesTest() : Cluster(1) {
    Assign(0, 0);
    Settle();
  }
  SessionKeeper& sessions() { return node(0).domain.sessions(); }
  void Start(Peer& peer, const std::string& user, const std::string& id) {
    GatewayAction action;
    action.set_session_id(id);
    action.mutable_start()->set_user(user);
    action.mutable_start()->set_resource("r");
    sessions().OnAction(peer, std::move(action));
    Settle();
  }
  std::size_t SessionsOf(const Peer& peer) {
    std::size_t count = 0;
    for (const auto& [id, session] : node(0).domain.table()) count += session->gateway == &peer ? 1 : 0;
    return count;
  }
};

TEST_F(GatewayNamesTest, TheNewerOfTwoProcessesOfOneNameIsLinkedAndTheOlderIsToldAndClosed) {
  Peer older({1'000, 5});
  Peer newer({2'000, 1});
  sessions().OnGatewayLinked(older);
  Start(older, UserIn(0), "0123456789abcdef");
  ASSERT_EQ(SessionsOf(older), 1u);

  sessions().OnGatewayLinked(newer);
  EXPECT_TRUE(older.closed);
  ASSERT_TRUE(older.actions.back().has_gateway_replaced());
  EXPECT_EQ(older.actions.back().gateway_replaced().newer().started_at_ms(), 2'000);
  EXPECT_FALSE(newer.closed);
  EXPECT_TRUE(newer.Was(SessionManagerAction::kHello));
  EXPECT_EQ(SessionsOf(older), 0u) << "lost with their gateway";

  // The end of the old link does not touch the living one.
  sessions().OnGatewayLost(older);
  EXPECT_EQ(node(0).domain.gateways().Find("gw-9"), &newer);
  Start(newer, UserIn(0, 1), "fedcba9876543210");
  EXPECT_TRUE(newer.Was(SessionManagerAction::kStarted));
  EXPECT_EQ(SessionsOf(newer), 1u);
}

TEST_F(GatewayNamesTest, AnOlderProcessIsRefusedWhileTheNewerOneIsLinked) {
  Peer newer({2'000, 1});
  Peer older({1'000, 5});
  sessions().OnGatewayLinked(newer);
  sessions().OnGatewayLinked(older);
  EXPECT_TRUE(older.closed);
  EXPECT_FALSE(older.Was(SessionManagerAction::kHello));
  EXPECT_TRUE(older.actions.back().has_gateway_replaced());
  sessions().OnGatewayLost(older);
  EXPECT_EQ(node(0).domain.gateways().Find("gw-9"), &newer);
  EXPECT_FALSE(newer.closed);

  sessions().OnGatewayLost(newer);
  Peer again({1'000, 5});
  sessions().OnGatewayLinked(again);
  EXPECT_EQ(node(0).domain.gateways().Find("gw-9"), &again);
}

TEST_F(GatewayNamesTest, ASecondLinkOfOneProcessTakesThePlaceOfTheFirst) {
  Peer first({1'000, 5});
  Peer second({1'000, 5});
  sessions().OnGatewayLinked(first);
  sessions().OnGatewayLinked(second);
  EXPECT_TRUE(first.closed);
  EXPECT_FALSE(first.Was(SessionManagerAction::kGatewayReplaced)) << "it would end the process";
  sessions().OnGatewayLost(first);
  EXPECT_EQ(node(0).domain.gateways().Find("gw-9"), &second);
}

TEST_F(GatewayNamesTest, AGatewayOfAnEarlierReleaseSaysNoIncarnationAndReplacesAny) {
  Peer known({1'000, 5});
  Peer silent({});
  sessions().OnGatewayLinked(known);
  sessions().OnGatewayLinked(silent);
  EXPECT_EQ(node(0).domain.gateways().Find("gw-9"), &silent);
  EXPECT_FALSE(silent.closed);
}

}  // namespace
}  // namespace rookery::session_manager
