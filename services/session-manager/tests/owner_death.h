#pragma once

#include "domain/inbound/session_keeper.h"
#include "domain/sessions/session_ends.h"
#include "moving_shard.h"

namespace rookery::session_manager {

class OwnerDeathTest : public MovingShard {
 protected:
  /// No commit of node 1 succeeds from now on.
  void StopCommits() { node(1).shard_log.member = false; }
  void Move() {
    Kill(1);
    database_.down = false;
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  /// Returns what a session that begins now is given.
  std::vector<std::string> NextSession(const std::string& resource = "next") {
    Client& next = SignIn(other_, bob_, resource, std::nullopt);
    other_.Send(next, Presence());
    Settle();
    Elapse(std::chrono::seconds(1));
    return next.MessageIds();
  }
  /// Runs node 1 and `gateway_`, while nothing reaches `other_`.
  void SettleWithoutOther() {
    for (bool moved = true; moved;) {
      io_.restart();
      moved = io_.poll() > 0;
      moved = PumpLog() || moved;
      moved = gateway_.Pump() || moved;
    }
  }
};

}  // namespace rookery::session_manager
