#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace rookery {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Time as domain code sees it; tests move it by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime Now() const = 0;
  virtual std::int64_t UnixMillisNow() const = 0;
  /// The process's: the machine's, or the virtual one while a test has set one. Lives forever.
  static const Clock& System();
};

/// Time that a test or a simulation puts in the machine's place for the whole process. While one is
/// set, everything that asks for the time is told its time (`Clock::System`, `SteadyNow`,
/// `UnixMillis`), and every `runtime::Timer` expires by it.
class VirtualClock : public Clock {
 public:
  /// An event loop with nothing to do would now sleep until `expiry`, when its earliest timer is due.
  virtual void WouldSleepUntil(SteadyTime expiry) = 0;
};

namespace internal {
inline std::atomic<VirtualClock*> virtual_clock{nullptr};
}  // namespace internal

/// The virtual clock that is in force, or nullptr. Costs one plain load.
inline VirtualClock* CurrentVirtualClock() { return internal::virtual_clock.load(std::memory_order_relaxed); }
/// `clock` outlives its being set; nullptr restores the machine's. Before there are other threads.
void SetVirtualClockForTest(VirtualClock* clock);

/// The process's steady time.
inline SteadyTime SteadyNow() {
  const VirtualClock* clock = CurrentVirtualClock();
  return clock == nullptr ? std::chrono::steady_clock::now() : clock->Now();
}

/// The process's time in milliseconds since 1970, UTC.
std::int64_t UnixMillis();

}  // namespace rookery
