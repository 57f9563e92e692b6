#pragma once

#include <chrono>
#include <cstdint>

#include "rookery/base/clock.h"

namespace rookery::testing {

/// A clock for what is given one: it stands still until it is moved.
class HandClock final : public Clock {
 public:
  /// The time that UnixMillisNow says first.
  static constexpr std::int64_t kStart = 1'700'000'000'000;

  SteadyTime Now() const override { return kSteadyStart + elapsed_; }
  std::int64_t UnixMillisNow() const override { return kStart + elapsed_.count(); }
  void Advance(std::chrono::milliseconds by) { elapsed_ += by; }

 private:
  // Not zero: "never" is often written as a default SteadyTime.
  static constexpr SteadyTime kSteadyStart{std::chrono::hours(1)};
  std::chrono::milliseconds elapsed_{0};
};

}  // namespace rookery::testing
