#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// How many first-level elements an account, or all of a network, may send: so many a second in the long run,
/// and ten seconds' worth at once. Who has sent more is read no further for a while. Held by streams; no I/O.
class StanzaRate {
 public:
  static constexpr double kBurstSeconds = 10;

  /// 0: no limit.
  StanzaRate(std::size_t per_second, SteadyTime now)
      : per_second_(static_cast<double>(per_second)), left_(per_second_ * kBurstSeconds), at_(now) {}

  void Take(SteadyTime now) {
    if (per_second_ == 0) return;
    Refill(now);
    left_ -= 1;
  }
  bool IsUsedUp() const { return left_ < 1 && per_second_ > 0; }
  /// Nothing of what was taken is remembered any more.
  bool IsFull(SteadyTime now) {
    Refill(now);
    return left_ >= per_second_ * kBurstSeconds;
  }
  void Refill(SteadyTime now) {
    if (now <= at_) return;
    left_ = std::min(per_second_ * kBurstSeconds,
                     left_ + per_second_ * std::chrono::duration<double>(now - at_).count());
    at_ = now;
  }

 private:
  double per_second_;
  double left_;
  SteadyTime at_;
};

}  // namespace rookery::gateway
