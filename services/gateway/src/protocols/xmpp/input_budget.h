#pragma once

#include <memory>
#include <utility>

#include "protocols/xmpp/stanza_rate.h"
#include "rookery/base/clock.h"

namespace rookery::gateway {

/// A stream's use of its account's StanzaRate, from the moment that the client has authenticated: each
/// first-level element, each control frame of a WebSocket, and each read that brings none of these. Part of a
/// stream; I/O thread only.
class InputBudget {
 public:
  /// `rate`: the account's, which its other connections share.
  void Begin(std::shared_ptr<StanzaRate> rate) { rate_ = std::move(rate); }

  // False: nothing more is to be read for a while.
  /// Bytes have come, and what they bring follows.
  [[nodiscard]] bool OnInput() {
    // White space, or a piece of something large.
    return rate_ == nullptr || !std::exchange(brought_nothing_, true) || Take();
  }
  /// They have brought an element or a control frame.
  [[nodiscard]] bool OnBrought() {
    brought_nothing_ = false;
    return rate_ == nullptr || Take();
  }
  /// They have brought what we have asked for.
  void OnAskedFor() { brought_nothing_ = false; }

  bool IsUsedUp() const { return rate_ != nullptr && rate_->IsUsedUp(); }
  void OnTick(SteadyTime now) {
    if (rate_ != nullptr) rate_->Refill(now);
  }

 private:
  bool Take() {
    rate_->Take(Clock::System().Now());
    return !rate_->IsUsedUp();
  }

  std::shared_ptr<StanzaRate> rate_;  // null until the account is known
  bool brought_nothing_ = false;      // what came last, so far
};

}  // namespace rookery::gateway
