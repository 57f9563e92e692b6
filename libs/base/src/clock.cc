#include "rookery/base/clock.h"

namespace rookery {

void SetVirtualClockForTest(VirtualClock* clock) { internal::virtual_clock.store(clock); }

std::int64_t UnixMillis() {
  const VirtualClock* clock = CurrentVirtualClock();
  if (clock != nullptr) return clock->UnixMillisNow();
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

namespace {

class SystemClock final : public Clock {
 public:
  SteadyTime Now() const override { return SteadyNow(); }
  std::int64_t UnixMillisNow() const override { return UnixMillis(); }
};

}  // namespace

const Clock& Clock::System() {
  static const SystemClock clock;
  return clock;
}

}  // namespace rookery
