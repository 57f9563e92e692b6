#include "rookery/runtime/backoff.h"

#include <algorithm>

namespace rookery::runtime {

Task<void> Backoff::Wait() { co_await Sleep(delays_.Next()); }

Task<bool> Backoff::Wait(Deadline deadline) {
  const auto delay = std::min(delays_.Next(), deadline.Remaining());
  co_await Sleep(delay);
  co_return !deadline.IsExpired();
}

}  // namespace rookery::runtime
