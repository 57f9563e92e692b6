#pragma once

#include "rookery/base/backoff_delays.h"
#include "rookery/base/deadline.h"
#include "rookery/runtime/task.h"

namespace rookery::runtime {

/// The pause between attempts of something that fails: longer after each failure in a row, with a
/// random part. `for (;;) { if (co_await Try()) break; co_await backoff.Wait(); }`
class Backoff {
 public:
  explicit Backoff(BackoffOptions options) : delays_(options) {}

  /// One more failure: suspends for the next delay. Throws boost::system::system_error when cancelled.
  Task<void> Wait();
  /// Like Wait, but not beyond `deadline`. False when there is no time for another attempt then.
  Task<bool> Wait(Deadline deadline);
  /// It worked: the next failure is the first again.
  void Reset() { delays_.Reset(); }
  int failures() const { return delays_.failures(); }

 private:
  BackoffDelays delays_;
};

}  // namespace rookery::runtime
