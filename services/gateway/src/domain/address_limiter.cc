#include "domain/address_limiter.h"

#include <algorithm>

namespace rookery::gateway {

double AddressLimiter::Refilled(const Bucket& bucket, SteadyTime now) const {
  const double minutes = std::chrono::duration<double, std::ratio<60>>(now - bucket.updated).count();
  return std::min<double>(per_minute_, bucket.tokens + minutes * per_minute_);
}

bool AddressLimiter::Allow(std::string_view address, SteadyTime now) {
  if (per_minute_ == 0) return true;
  auto found = buckets_.find(std::string(address));
  if (found == buckets_.end()) {
    if (buckets_.size() >= max_addresses_) {
      std::erase_if(buckets_, [&](const auto& entry) { return Refilled(entry.second, now) >= per_minute_; });
      if (buckets_.size() >= max_addresses_) buckets_.clear();
    }
    found = buckets_.emplace(std::string(address), Bucket{static_cast<double>(per_minute_), now}).first;
  }
  Bucket& bucket = found->second;
  bucket.tokens = Refilled(bucket, now);
  bucket.updated = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

}  // namespace rookery::gateway
