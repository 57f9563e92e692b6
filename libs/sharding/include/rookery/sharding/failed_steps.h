#pragma once

#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "rookery/base/clock.h"

namespace rookery::sharding {

/// Steps in the life of a shard, and coroutines of it, that exceptions have ended: how many lives in a row
/// each of them has cost. What has not failed for ten minutes is forgiven. I/O thread only.
class FailedSteps {
 public:
  /// Notes that the step has failed: it counts once in a life, and up to `most`. Returns how many lives that
  /// makes.
  int Note(std::string_view step, SteadyTime now, int most = std::numeric_limits<int>::max());
  /// The shard is acquired afresh.
  void BeginLife(SteadyTime now);
  /// Of the step that has cost most; 0: none has failed lately.
  int most_lives() const;

 private:
  struct Failure {
    int lives = 0;
    SteadyTime at;
    bool is_of_this_life = false;
  };
  std::map<std::string, Failure, std::less<>> failures_;
};

}  // namespace rookery::sharding
