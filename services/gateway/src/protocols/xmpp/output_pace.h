#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// Decides from counts whether a client takes too little of what is written for it. A stream
/// is never closed for one large stanza alone: what is held besides the largest is what
/// counts, and time counts only while nothing moves. So a stream holds at most its limit
/// and one stanza more. Part of a stream; no I/O.
class OutputPace {
 public:
  explicit OutputPace(SteadyTime now) : progress_at_(now) {}

  /// A stanza of `size` bytes is about to be written where `held` bytes are held already.
  void Add(std::size_t size, std::size_t held) {
    if (held == 0) largest_ = 0;
    largest_ = std::max(largest_, size);
  }
  /// More than `limit` of `held` is not the largest stanza's.
  bool IsOver(std::size_t held, std::size_t limit) const {
    return held > largest_ && held - largest_ > limit;
  }

  /// Once a second or so: since when the client has taken nothing, although there was something
  /// to take. `taken` counts the bytes that the kernel has taken on this connection.
  SteadyTime::duration Stalled(SteadyTime now, std::size_t queued, std::uint64_t taken) {
    if (queued == 0 || taken != taken_) progress_at_ = now;
    taken_ = taken;
    return now - progress_at_;
  }

 private:
  std::size_t largest_ = 0;  // of the stanzas since nothing was held
  std::uint64_t taken_ = 0;
  SteadyTime progress_at_;
};

}  // namespace rookery::gateway
