#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// So many events a minute for each network address, with a burst of as many. Remembers
/// a bounded number of addresses: of too many, the one that was not heard of for longest is forgotten.
class AddressLimiter {
 public:
  /// `per_minute` 0: no limit.
  explicit AddressLimiter(std::uint32_t per_minute, std::size_t max_addresses = 10'000)
      : per_minute_(per_minute), max_addresses_(max_addresses) {}

  bool Allow(std::string_view address, SteadyTime now);

 private:
  struct Bucket {
    std::string address;
    double tokens;
    SteadyTime updated;
  };
  double Refilled(const Bucket& bucket, SteadyTime now) const;

  const std::uint32_t per_minute_;
  const std::size_t max_addresses_;
  std::list<Bucket> oldest_first_;
  std::map<std::string, std::list<Bucket>::iterator, std::less<>> buckets_;
};

}  // namespace rookery::gateway
