#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// So many events a minute for each network address, with a burst of as many. Remembers
/// a bounded number of addresses; when that is full, those whose allowance has
/// refilled are forgotten first, then everything.
class AddressLimiter {
 public:
  /// `per_minute` 0: no limit.
  explicit AddressLimiter(std::uint32_t per_minute, std::size_t max_addresses = 10'000)
      : per_minute_(per_minute), max_addresses_(max_addresses) {}

  bool Allow(std::string_view address, SteadyTime now);

 private:
  struct Bucket {
    double tokens;
    SteadyTime updated;
  };
  double Refilled(const Bucket& bucket, SteadyTime now) const;

  const std::uint32_t per_minute_;
  const std::size_t max_addresses_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace rookery::gateway
