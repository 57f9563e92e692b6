#pragma once

#include "domain/delivery/delivery_state.h"
#include "domain/inbound/session_keeper.h"
#include "moving_shard.h"

namespace rookery::session_manager {

class DeliveryRules : public MovingShard {
 protected:
  void Move() {
    Kill(1);
    Repair();
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  void Repair() {
    database_.down = database_.ambiguous = false;
    database_.on_call = {};
    database_.on_slow = {};
  }
  /// Such calls are not answered.
  void Stop(const std::string& call) {
    database_.on_slow = [call](std::string_view name) -> Task<void> {
      while (name == call) co_await runtime::Sleep(std::chrono::hours(1));
    };
  }
  /// Such calls are answered when `is_open` says so.
  void Gate(const std::string& call, const bool& is_open) {
    database_.on_slow = [call, &is_open](std::string_view name) -> Task<void> {
      while (name == call && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
    };
  }
  Client& Available(const std::string& resource = "b", bool acks = true) {
    Client& bob = SignIn(other_, bob_, resource, std::nullopt);
    bob.acks = acks;
    other_.Send(bob, Presence());
    Settle();
    return bob;
  }
  std::vector<std::string> NextSession() {
    Client& next = Available("next");
    Elapse(std::chrono::seconds(1));
    return next.MessageIds();
  }
  bool Eventually(const std::function<bool()>& done) {
    return RunUntil([&] {
      if (done()) return true;
      Elapse(std::chrono::milliseconds(500));
      return done();
    });
  }
  Shard& BobsShard() { return *node(owners_[1]).domain.shards().Find(1); }
  std::size_t Unfinished() {
    Shard& shard = BobsShard();
    return static_cast<std::size_t>(shard.window.next_offset() - shard.window.cursor());
  }
};

}  // namespace rookery::session_manager
