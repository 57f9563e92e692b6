#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/wait_traits.hpp>
#include <chrono>

#include "rookery/base/clock.h"

namespace rookery::runtime {

/// The process's steady time as Asio's timers want it: the machine's, or a simulation's.
struct TimerClock {
  using duration = std::chrono::steady_clock::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = SteadyTime;
  static constexpr bool is_steady = true;

  static time_point now() { return SteadyNow(); }
};

}  // namespace rookery::runtime

namespace boost::asio {

// Asio asks this each time it would sleep until its earliest timer. In virtual time nobody sleeps:
// the loop looks at its timers on every turn, and the clock learns from the question how far the
// simulation may jump. Nothing else has to keep a list of what is armed.
template <>
struct wait_traits<rookery::runtime::TimerClock> {
  using Clock = rookery::runtime::TimerClock;

  static Clock::duration to_wait_duration(const Clock::duration& d) {
    rookery::VirtualClock* virtual_clock = rookery::CurrentVirtualClock();
    if (virtual_clock == nullptr) return d;
    const Clock::time_point now = virtual_clock->Now();
    virtual_clock->WouldSleepUntil(d > Clock::time_point::max() - now ? Clock::time_point::max() : now + d);
    return Clock::duration::zero();
  }
  static Clock::duration to_wait_duration(const Clock::time_point& t) {
    return to_wait_duration(t - Clock::now());
  }
};

}  // namespace boost::asio

namespace rookery::runtime {

/// A one-shot timer: `timer.expires_after(d); co_await timer.async_wait(use_awaitable)`, `cancel()`.
/// It is asio::steady_timer, at the same cost, on a clock that a simulation can replace. What a
/// simulation is to run uses it; asio::steady_timer would wait in real time.
using Timer = boost::asio::basic_waitable_timer<TimerClock>;

}  // namespace rookery::runtime
