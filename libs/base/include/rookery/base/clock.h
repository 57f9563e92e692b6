#pragma once

#include <chrono>
#include <cstdint>

namespace rookery {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Milliseconds since 1970, UTC.
std::int64_t UnixMillis();

/// Time as domain code sees it; tests move it by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime Now() const = 0;
  virtual std::int64_t UnixMillisNow() const = 0;
  /// The machine's. Lives forever.
  static const Clock& System();
};

}  // namespace rookery
