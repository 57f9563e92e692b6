#pragma once

#include <optional>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// How long a shard's clients have waited: for an owner, or for anything from the owner that it
/// has. Times in which this process itself stood still do not count.
class ShardWatch {
 public:
  /// It has an owner, which has just said so.
  void OnOwned() {
    lost_at_.reset();
    without_owner_since_.reset();
    unanswered_since_.reset();
  }
  /// It has none any more, and was certainly in touch with one at `last_touch`: before a standstill, for
  /// instance, during which the link may have broken.
  void OnDisowned(SteadyTime now, SteadyTime last_touch) {
    if (!without_owner_since_) {
      without_owner_since_ = now;
      lost_at_ = last_touch;
    }
    unanswered_since_.reset();
  }
  /// Something was sent that the owner has to answer.
  void OnSent(SteadyTime now) {
    if (!without_owner_since_ && !unanswered_since_) unanswered_since_ = now;
  }
  /// Something came from the owner.
  void OnHeard(SteadyTime now) {
    if (unanswered_since_) unanswered_since_ = now;
  }
  /// The owner has nothing to answer any more.
  void OnSettled() { unanswered_since_.reset(); }
  void OnStoodStill(SteadyTime::duration gap) {
    if (without_owner_since_) *without_owner_since_ += gap;
    if (unanswered_since_) *unanswered_since_ += gap;
  }

  bool IsWithoutOwner(SteadyTime now, SteadyTime::duration for_long) const {
    return without_owner_since_ && now - *without_owner_since_ >= for_long;
  }
  bool IsUnanswered(SteadyTime now, SteadyTime::duration for_long) const {
    return unanswered_since_ && now - *unanswered_since_ >= for_long;
  }

  /// By the clock: for how long it has not been in touch with an owner; none while it has one.
  std::optional<SteadyTime::duration> OutOfReach(SteadyTime now) const {
    if (!lost_at_) return std::nullopt;
    return now - *lost_at_;
  }
  bool WasLostFor(SteadyTime now, SteadyTime::duration long_) const { return OutOfReach(now) > long_; }

 private:
  std::optional<SteadyTime> lost_at_;
  std::optional<SteadyTime> without_owner_since_;
  std::optional<SteadyTime> unanswered_since_;
};

}  // namespace rookery::gateway
