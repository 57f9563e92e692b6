#include "rookery/testing/virtual_time.h"

#include <algorithm>

#include "rookery/base/check.h"

namespace rookery::testing {
namespace {

std::int64_t Millis(SteadyTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

VirtualTime::VirtualTime(std::int64_t unix_millis) : unix_offset_(unix_millis - Millis(now_)) {
  ROOKERY_CHECK(CurrentVirtualClock() == nullptr);
  SetVirtualClockForTest(this);
}

VirtualTime::~VirtualTime() { SetVirtualClockForTest(nullptr); }

std::int64_t VirtualTime::UnixMillisNow() const { return unix_offset_ + Millis(now_); }

// A loop asks before it looks for what is ready, and again when a timer is armed that is earlier;
// what it says last is true.
void VirtualTime::WouldSleepUntil(SteadyTime expiry) { earliest_ = expiry; }

void VirtualTime::JumpTo(SteadyTime to) {
  ROOKERY_CHECK(to >= now_);
  now_ = to;
}

SteadyTime VirtualTime::Settle(boost::asio::io_context& io) {
  // Polling goes on until a look at the timers has found nothing due, so that the loop's last
  // answer is about what is left.
  earliest_ = SteadyTime::max();
  io.restart();
  io.poll();
  return earliest_;
}

void VirtualTime::RunFor(boost::asio::io_context& io, SteadyTime::duration duration) {
  const SteadyTime end = now_ + duration;
  for (;;) {
    const SteadyTime next = Settle(io);
    if (next > end) break;
    now_ = std::max(now_, next);
  }
  now_ = end;
}

bool VirtualTime::RunUntil(boost::asio::io_context& io, const std::function<bool()>& condition,
                           SteadyTime::duration limit) {
  const SteadyTime end = now_ + limit;
  for (;;) {
    const SteadyTime next = Settle(io);
    if (condition()) return true;
    if (next > end) return false;
    now_ = std::max(now_, next);
  }
}

}  // namespace rookery::testing
