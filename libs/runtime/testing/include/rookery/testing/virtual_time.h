#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>

#include "rookery/base/clock.h"

namespace rookery::testing {

/// The process's time for as long as it lives: it stands still until it is moved. Everything on
/// `runtime::Timer` and `Clock::System` follows it. One at a time, one thread.
class VirtualTime final : public VirtualClock {
 public:
  explicit VirtualTime(std::int64_t unix_millis = 1'700'000'000'000);
  VirtualTime(const VirtualTime&) = delete;
  VirtualTime& operator=(const VirtualTime&) = delete;
  ~VirtualTime() override;

  SteadyTime Now() const override { return now_; }
  std::int64_t UnixMillisNow() const override;
  void WouldSleepUntil(SteadyTime expiry) override;

  /// Time only; no loop runs.
  void JumpTo(SteadyTime to);

  /// Runs what is ready, and what follows from it, without any time passing. Returns when the loop's
  /// earliest timer is due, SteadyTime::max() if it has none.
  SteadyTime Settle(boost::asio::io_context& io);
  /// Lets time pass on one loop, from timer to timer.
  void RunFor(boost::asio::io_context& io, SteadyTime::duration duration);
  /// Lets time pass until `condition` holds; false when it does not within `limit`.
  bool RunUntil(boost::asio::io_context& io, const std::function<bool()>& condition,
                SteadyTime::duration limit = std::chrono::minutes(1));

 private:
  SteadyTime now_{std::chrono::hours(1)};  // not zero: "never" is often written as a default SteadyTime
  const std::int64_t unix_offset_;
  SteadyTime earliest_ = SteadyTime::max();  // what the loop said last
};

}  // namespace rookery::testing
