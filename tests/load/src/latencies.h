#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rookery::load {

/// Every sample, in microseconds: no bucket rounds the tail away.
class Latencies {
 public:
  void Add(std::chrono::steady_clock::duration latency);
  std::size_t size() const { return samples_.size(); }
  /// The smallest sample that at least `part` (0 to 1) of all do not exceed, in ms.
  double PercentileMs(double part);
  double MaxMs() { return PercentileMs(1.0); }

 private:
  std::vector<std::uint32_t> samples_;
  bool sorted_ = false;
};

}  // namespace rookery::load
