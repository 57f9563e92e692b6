#include "domain/address_limiter.h"

#include <algorithm>
#include <iterator>

namespace rookery::gateway {

double AddressLimiter::Refilled(const Bucket& bucket, SteadyTime now) const {
  const double minutes = std::chrono::duration<double, std::ratio<60>>(now - bucket.updated).count();
  return std::min<double>(per_minute_, bucket.tokens + minutes * per_minute_);
}

bool AddressLimiter::Allow(std::string_view address, SteadyTime now) {
  if (per_minute_ == 0) return true;
  const auto found = buckets_.find(address);
  if (found != buckets_.end()) {
    oldest_first_.splice(oldest_first_.end(), oldest_first_, found->second);
  } else {
    if (buckets_.size() >= max_addresses_) {
      buckets_.erase(buckets_.find(oldest_first_.front().address));
      oldest_first_.pop_front();
    }
    oldest_first_.push_back({std::string(address), static_cast<double>(per_minute_), now});
    buckets_[std::string(address)] = std::prev(oldest_first_.end());
  }
  Bucket& bucket = oldest_first_.back();
  bucket.tokens = Refilled(bucket, now);
  bucket.updated = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

}  // namespace rookery::gateway
