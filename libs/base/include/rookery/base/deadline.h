#pragma once

#include <chrono>

#include "rookery/base/clock.h"

namespace rookery {

/// The moment by which something has to be done. A value: pass it on, so that every step of a
/// request shares one limit. Reads the process's clock unless it is given the time.
class Deadline {
 public:
  static Deadline At(SteadyTime when) { return Deadline(when); }
  /// `limit` from now; one too long for the clock is never.
  static Deadline After(SteadyTime::duration limit) { return After(limit, SteadyNow()); }
  static Deadline After(SteadyTime::duration limit, SteadyTime now) {
    return Deadline(limit > SteadyTime::max() - now ? SteadyTime::max() : now + limit);
  }
  static Deadline Never() { return Deadline(SteadyTime::max()); }

  SteadyTime when() const { return when_; }
  bool is_never() const { return when_ == SteadyTime::max(); }
  bool IsExpired() const { return IsExpired(SteadyNow()); }
  bool IsExpired(SteadyTime now) const { return !is_never() && now >= when_; }
  /// Zero once it has expired; the longest duration there is for Never.
  std::chrono::milliseconds Remaining() const { return Remaining(SteadyNow()); }
  /// Rounded up, so that whoever waits for it finds it expired.
  std::chrono::milliseconds Remaining(SteadyTime now) const {
    if (is_never()) return std::chrono::milliseconds::max();
    if (now >= when_) return std::chrono::milliseconds::zero();
    return std::chrono::ceil<std::chrono::milliseconds>(when_ - now);
  }

  friend auto operator<=>(Deadline, Deadline) = default;

 private:
  explicit Deadline(SteadyTime when) : when_(when) {}

  SteadyTime when_;
};

}  // namespace rookery
