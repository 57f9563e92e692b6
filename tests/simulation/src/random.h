#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

namespace rookery::simulation {

/// One sequence of draws from a seed (SplitMix64). Parts of a simulation have sequences of their
/// own, so that one more draw in one of them leaves the others as they were.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// 0 to n-1.
  std::uint64_t Below(std::uint64_t n) { return Next() % n; }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  bool Chance(double probability) { return Unit() < probability; }
  /// Between both, all equally likely.
  std::chrono::nanoseconds Between(std::chrono::nanoseconds low, std::chrono::nanoseconds high) {
    return low + std::chrono::nanoseconds(Below(static_cast<std::uint64_t>((high - low).count()) + 1));
  }
  /// Between both, short ones as likely as long ones on a logarithmic scale.
  std::chrono::nanoseconds LogBetween(std::chrono::nanoseconds low, std::chrono::nanoseconds high) {
    const double l = std::log(static_cast<double>(low.count()));
    const double h = std::log(static_cast<double>(high.count()));
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::exp(l + (h - l) * Unit())));
  }
  /// Time to the next of events that come by chance, `mean` apart.
  std::chrono::nanoseconds Exponential(std::chrono::nanoseconds mean) {
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(-std::log(1.0 - Unit()) * static_cast<double>(mean.count())));
  }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }
  /// An independent sequence.
  Random Fork() { return Random(Next()); }

 private:
  std::uint64_t state_;
};

}  // namespace rookery::simulation
