#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// Whether this process stood still: it noticed nothing for longer than a session-manager keeps
/// the sessions of a gateway that it does not hear from. What was true before may be no more.
class Standstill {
 public:
  using Duration = SteadyTime::duration;
  /// Shorter ones happen to a busy process, or to one that a machine was slow with.
  static constexpr std::chrono::milliseconds kLeast{2'000};
  /// A link that broke meanwhile shows it within this time.
  static constexpr std::chrono::milliseconds kAftermath{10'000};

  explicit Standstill(SteadyTime now) : last_(now) {}

  /// Takes over what session-managers have said: how long a session without resumption survives the loss of
  /// the link, and how far back a repeated stanza is recognised. Zero: not known.
  void Learn(std::chrono::milliseconds link_grace, std::chrono::milliseconds duplicate_horizon) {
    if (link_grace.count() > 0) link_grace_ = link_grace;
    if (duplicate_horizon.count() > 0) duplicate_horizon_ = duplicate_horizon;
  }

  /// Called whenever anything happens, at least once a second. The length of the standstill that
  /// has just ended; zero: there was none.
  Duration Notice(SteadyTime now) {
    const Duration gap = now - last_;
    const SteadyTime before = std::exchange(last_, now);
    if (link_grace_.count() == 0 || gap <= std::max<Duration>(link_grace_, kLeast)) return Duration::zero();
    // A link that broke in a standstill that has just ended may not have shown it before this one began.
    if (!IsAftermath(before)) began_ = before;
    ended_ = now;
    return gap;
  }

  /// Whether stanzas that were sent before a standstill of `gap` could be taken for new ones.
  bool IsTooLong(Duration gap) const {
    return duplicate_horizon_.count() > 0 && gap > duplicate_horizon_ / 2;
  }
  /// A link that goes down now may have broken while the process stood still.
  bool IsAftermath(SteadyTime now) const { return ended_ != SteadyTime() && now - ended_ < kAftermath; }
  /// When a link that goes down now was certainly up.
  SteadyTime LastTouch(SteadyTime now) const { return IsAftermath(now) ? began_ : now; }
  /// How long an owner keeps a session without resumption; zero: not known.
  std::chrono::milliseconds link_grace() const { return link_grace_; }

 private:
  SteadyTime last_;
  // The newest; several in a row are one.
  SteadyTime began_;
  SteadyTime ended_;
  std::chrono::milliseconds link_grace_{0};
  std::chrono::milliseconds duplicate_horizon_{0};
};

}  // namespace rookery::gateway
