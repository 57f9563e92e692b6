#include "rookery/base/backoff_delays.h"

#include <algorithm>
#include <limits>

#include "rookery/base/check.h"
#include "rookery/base/random.h"

namespace rookery {

using std::chrono::milliseconds;

BackoffDelays::BackoffDelays(BackoffOptions options) : options_(options) {
  ROOKERY_CHECK(options_.first > milliseconds::zero() && options_.first <= options_.max);
  ROOKERY_CHECK(options_.jitter >= 0 && options_.jitter <= 1);
}

milliseconds BackoffDelays::Next() {
  if (failures_ == 0) {
    full_ = options_.first;
  } else {
    full_ = full_ > options_.max / 2 ? options_.max : full_ * 2;
  }
  if (failures_ < std::numeric_limits<int>::max()) ++failures_;
  const auto spread = static_cast<std::int64_t>(static_cast<double>(full_.count()) * options_.jitter);
  const auto off = static_cast<std::int64_t>(RandomU64() % (static_cast<std::uint64_t>(spread) + 1));
  return std::max(full_ - milliseconds(off), milliseconds(1));
}

}  // namespace rookery
