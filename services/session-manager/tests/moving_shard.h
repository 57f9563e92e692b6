#pragma once

#include <gmock/gmock.h>

#include <string>

#include "cluster.h"

namespace rookery::session_manager {

/// alice's shard stays with node 0; bob's moves from node 1 to node 2.
class MovingShard : public Cluster {
 protected:
  MovingShard() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
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
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
};

}  // namespace rookery::session_manager
