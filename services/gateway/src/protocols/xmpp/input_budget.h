#pragma once

#include <memory>
#include <utility>

#include "protocols/xmpp/stanza_rate.h"
#include "rookery/base/clock.h"

namespace rookery::gateway {

/// A stream's use of the StanzaRate of its account and of that of its network, from the moment that the
/// client has authenticated: each first-level element, each control frame of a WebSocket, and each read that
/// brings none of these. Part of a stream; I/O thread only.
class InputBudget {
 public:
  /// Those that the other connections of the account, and of the network, share.
  void Begin(std::shared_ptr<StanzaRate> of_account, std::shared_ptr<StanzaRate> of_network) {
    of_account_ = std::move(of_account);
    of_network_ = std::move(of_network);
  }

  // False: nothing more is to be read for a while.
  /// Bytes have come, and what they bring follows.
  [[nodiscard]] bool OnInput() {
    // White space, or a piece of something large.
    return of_account_ == nullptr || !std::exchange(brought_nothing_, true) || Take();
  }
  /// They have brought an element or a control frame.
  [[nodiscard]] bool OnBrought() {
    brought_nothing_ = false;
    return of_account_ == nullptr || Take();
  }
  /// They have brought what we have asked for.
  void OnAskedFor() { brought_nothing_ = false; }

  bool IsUsedUp() const {
    return of_account_ != nullptr && (of_account_->IsUsedUp() || of_network_->IsUsedUp());
  }
  void OnTick(SteadyTime now) {
    if (of_account_ == nullptr) return;
    of_account_->Refill(now);
    of_network_->Refill(now);
  }

 private:
  bool Take() {
    const SteadyTime now = Clock::System().Now();
    of_account_->Take(now);
    of_network_->Take(now);
    return !IsUsedUp();
  }

  // Null until the account is known.
  std::shared_ptr<StanzaRate> of_account_;
  std::shared_ptr<StanzaRate> of_network_;
  bool brought_nothing_ = false;  // what came last, so far
};

}  // namespace rookery::gateway
