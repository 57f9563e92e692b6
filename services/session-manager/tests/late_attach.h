#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cluster.h"

namespace rookery::session_manager {

/// A gateway that was out of reach brings its sessions when the shard's new owner has read the log without
/// them (README.md, SL12): nothing is given twice, nothing is lost, and the stream goes on.
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
  /// What a session that begins now is given.
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

}  // namespace rookery::session_manager
