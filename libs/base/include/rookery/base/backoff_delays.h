#pragma once

#include <chrono>

namespace rookery {

struct BackoffOptions {
  std::chrono::milliseconds first{100};
  std::chrono::milliseconds max{5000};
  /// The random part of each delay, 0 to 1: with 0.5 a delay of 100 ms becomes 50 to 100 ms, so
  /// that those who failed at once do not all come back at once.
  double jitter = 0.5;
};

/// Between attempts of what a store, the log or another service has not done, and that must be done.
inline constexpr BackoffOptions kBackendRetries{.first = std::chrono::milliseconds(100),
                                                .max = std::chrono::milliseconds(2'000)};

/// How long to wait after each failure in a row: `first`, then twice as long each time, up to `max`.
/// Only says; `runtime::Backoff` waits.
class BackoffDelays {
 public:
  explicit BackoffDelays(BackoffOptions options);

  /// One more failure: the delay before the next attempt, at least 1 ms.
  std::chrono::milliseconds Next();
  /// A success: the next failure is the first again.
  void Reset() { failures_ = 0; }
  /// Failures in a row.
  int failures() const { return failures_; }

 private:
  BackoffOptions options_;
  std::chrono::milliseconds full_{0};  // the last delay, before its random part was taken off
  int failures_ = 0;
};

}  // namespace rookery
