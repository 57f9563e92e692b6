#include "rookery/sharding/follow_ups.h"

#include <algorithm>

namespace rookery::sharding {

void FollowUps::Note(std::int64_t offset) {
  ++groups_[offset >> kGroupBits];
  ++count_;
  newest_ = std::max(newest_, offset);
}

void FollowUps::Committed(std::int64_t cursor) {
  // Nothing is left, also of the group that the cursor is in: a shard that is not read for what it has said
  // would otherwise never be read again.
  const auto end = cursor > newest_ ? groups_.end() : groups_.lower_bound(cursor >> kGroupBits);
  for (auto it = groups_.begin(); it != end; ++it) count_ -= it->second;
  groups_.erase(groups_.begin(), end);
}

}  // namespace rookery::sharding
