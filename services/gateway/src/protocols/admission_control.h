#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace rookery::gateway {

/// How many sign-ins may be under way at once, found out from how late the I/O thread is:
/// as many as it finishes without being late. A reconnect storm is so taken in at the rate at which
/// it can be served, instead of all of it being begun and none of it finished in time.
/// Decides only; Admission has the connections.
class AdmissionControl {
 public:
  struct Options {
    /// The I/O thread may be so late.
    std::chrono::milliseconds max_loop_lag{50};
    /// So many may always be under way, however late it is.
    std::size_t min_under_way = 64;
  };

  explicit AdmissionControl(const Options& options) : options_(options), limit_(options.min_under_way) {}

  bool MayAdmit() const { return under_way_ < limit_; }
  void Admitted() { ++under_way_; }
  void Finished() { --under_way_; }

  /// `lag`: how late the I/O thread came to a timer. `waiting`: some connection is not admitted yet.
  void OnMeasured(std::chrono::steady_clock::duration lag, bool waiting) {
    if (lag > options_.max_loop_lag) {
      // Below what is under way: nothing is admitted until some have finished.
      limit_ = std::min(limit_, under_way_) / 4 * 3;
    } else if (!waiting) {
      // The limit that was learnt under load is not kept for the next storm.
      limit_ = std::min(limit_, 2 * under_way_);
    } else if (under_way_ >= limit_ && lag < options_.max_loop_lag / 2) {
      limit_ += std::max<std::size_t>(4, limit_ / 8);
    }
    limit_ = std::clamp(limit_, options_.min_under_way, std::max(options_.min_under_way, kMaxLimit));
  }

  std::size_t limit() const { return limit_; }
  std::size_t under_way() const { return under_way_; }
  /// Nothing is to be learnt from further measurements.
  bool is_at_rest() const { return limit_ == options_.min_under_way; }

 private:
  static constexpr std::size_t kMaxLimit = 8192;

  const Options options_;
  std::size_t limit_;
  std::size_t under_way_ = 0;
};

}  // namespace rookery::gateway
