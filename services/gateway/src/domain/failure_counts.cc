#include "domain/failure_counts.h"

#include <algorithm>

namespace rookery::gateway {

std::uint32_t FailureCounts::Of(std::string_view name, SteadyTime now) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() || found->second->until <= now ? 0 : found->second->failures;
}

FailureCounts::Count& FailureCounts::Get(std::string_view name, SteadyTime now) {
  const auto found = by_name_.find(name);
  if (found != by_name_.end() && found->second->until > now) return *found->second;
  if (found != by_name_.end()) {
    oldest_first_.erase(found->second);
    by_name_.erase(found);
  } else if (by_name_.size() >= max_names_) {
    by_name_.erase(by_name_.find(oldest_first_.front().name));
    oldest_first_.pop_front();
  }
  oldest_first_.push_back({std::string(name), 0, now + window_});
  by_name_[std::string(name)] = std::prev(oldest_first_.end());
  return oldest_first_.back();
}

void FailureCounts::Add(std::string_view name, SteadyTime now) { ++Get(name, now).failures; }

void FailureCounts::Learn(std::string_view name, std::uint32_t failures, std::chrono::milliseconds left,
                          SteadyTime now) {
  if (left <= std::chrono::milliseconds(0)) return;
  Count& count = Get(name, now);
  count.failures = std::max(count.failures, failures);
  count.until = std::min(now + left, now + window_);
}

}  // namespace rookery::gateway
