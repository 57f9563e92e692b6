#include "latencies.h"

#include <algorithm>
#include <cmath>

namespace rookery::load {

void Latencies::Add(std::chrono::steady_clock::duration latency) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
  samples_.push_back(static_cast<std::uint32_t>(std::clamp<std::int64_t>(us, 0, UINT32_MAX)));
  sorted_ = false;
}

double Latencies::PercentileMs(double part) {
  if (samples_.empty()) return 0;
  if (!sorted_) std::sort(samples_.begin(), samples_.end());
  sorted_ = true;
  const double rank = std::ceil(part * static_cast<double>(samples_.size()));
  const auto index =
      static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(samples_.size()))) - 1;
  return samples_[index] / 1000.0;
}

}  // namespace rookery::load
