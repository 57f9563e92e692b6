#pragma once

#include <chrono>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// Decides when a silent client is probed, and when one that owes an answer is gone. Part of
/// an established stream; no I/O.
class SilenceWatch {
 public:
  enum class Due { kNothing, kProbe, kGone };

  explicit SilenceWatch(SteadyTime now) : probed_at_(now) {}

  /// Something that the client must answer was sent.
  void Asked(SteadyTime now) {
    asked_ = true;
    asked_at_ = now;
  }
  void Answered() { asked_ = false; }

  /// In place of Check while nothing is read from the client: it may have answered, and cannot be heard.
  void Unheard(SteadyTime now) { probed_at_ = asked_at_ = now; }

  /// `last_received`: when the client's last bytes came. Any of them show that it lives.
  Due Check(SteadyTime now, SteadyTime last_received, std::chrono::seconds idle,
            std::chrono::seconds answer) {
    if (asked_ && now - asked_at_ > answer && last_received < asked_at_) return Due::kGone;
    if (now - last_received <= idle || now - probed_at_ <= idle) return Due::kNothing;
    probed_at_ = now;
    return Due::kProbe;
  }

 private:
  SteadyTime probed_at_;
  SteadyTime asked_at_;
  bool asked_ = false;
};

}  // namespace rookery::gateway
