#pragma once

#include <optional>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// How long a shard's clients have waited: for an owner, or for the shard to take anything of what they
/// say, whoever owned it meanwhile. Times in which this process itself stood still do not count.
class ShardWatch {
 public:
  /// It has an owner, which has just said so.
  void OnOwned() {
    lost_at_.reset();
    without_owner_since_.reset();
  }
  /// It has none any more, and was certainly in touch with one at `last_touch`: before a standstill, for
  /// instance, during which the link may have broken.
  void OnDisowned(SteadyTime now, SteadyTime last_touch) {
    if (!without_owner_since_) {
      without_owner_since_ = now;
      lost_at_ = last_touch;
    }
  }
  /// A client has said something, which is to be confirmed.
  void OnSaid(SteadyTime now) {
    if (!nothing_taken_since_) nothing_taken_since_ = now;
  }
  /// The owner is seen to write the log, or to read it. What it can say without the log is no sign:
  /// one that is cut off from it is no owner any more, and does not know.
  void OnTaken(SteadyTime now) {
    if (nothing_taken_since_) nothing_taken_since_ = now;
  }
  /// Nothing waits to be confirmed any more.
  void OnSettled() { nothing_taken_since_.reset(); }
  void OnStoodStill(SteadyTime::duration gap) {
    if (without_owner_since_) *without_owner_since_ += gap;
    if (nothing_taken_since_) *nothing_taken_since_ += gap;
  }

  bool IsWithoutOwner(SteadyTime now, SteadyTime::duration for_long) const {
    return without_owner_since_ && now - *without_owner_since_ >= for_long;
  }
  bool HasTakenNothing(SteadyTime now, SteadyTime::duration for_long) const {
    return nothing_taken_since_ && now - *nothing_taken_since_ >= for_long;
  }

  /// By the clock: for how long it has not been in touch with an owner; none while it has one.
  std::optional<SteadyTime::duration> OutOfReach(SteadyTime now) const {
    if (!lost_at_) return std::nullopt;
    return now - *lost_at_;
  }
  bool WasLostFor(SteadyTime now, SteadyTime::duration limit) const { return OutOfReach(now) > limit; }

 private:
  std::optional<SteadyTime> lost_at_;
  std::optional<SteadyTime> without_owner_since_;
  std::optional<SteadyTime> nothing_taken_since_;
};

}  // namespace rookery::gateway
