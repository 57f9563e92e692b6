#pragma once

#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"
#include "domain/sessions/session_ends.h"

namespace rookery::session_manager {

class OwnerDeathTest : public Cluster {
 protected:
  // alice's shard stays with node 0; bob's moves from node 1 to node 2.
  OwnerDeathTest() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    for (int i = 0; i < 3; ++i) node(i).settings.max_offline_messages = 4'000;
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    alice = &SignIn(gateway_, alice_, "a");
  }
  void Say(const std::string& id, const std::string& to, const std::string& type = "chat") {
    gateway_.Send(*alice, Message(to, id, type));
    Settle();
  }
  /// No commit of node 1 succeeds from now on.
  void StopCommits() { node(1).shard_log.member = false; }
  void Move() {
    Kill(1);
    database_.down = false;
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  /// What a session that begins now is given.
  std::vector<std::string> NextSession(const std::string& resource = "next") {
    Client& next = SignIn(other_, bob_, resource, std::nullopt);
    other_.Send(next, Presence());
    Settle();
    Elapse(std::chrono::seconds(1));
    return next.MessageIds();
  }
  /// What happens in node 1 and at `gateway_`, while nothing reaches `other_`.
  void SettleWithoutOther() {
    for (bool moved = true; moved;) {
      io_.restart();
      moved = io_.poll() > 0;
      moved = PumpLog() || moved;
      moved = gateway_.Pump() || moved;
    }
  }
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
};

}  // namespace rookery::session_manager
