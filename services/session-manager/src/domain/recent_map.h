#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

/// A map that remembers what was put last: entries go when they are older than the owner wants, and
/// the oldest ones when there are more than `most`. Every call costs a constant time on average.
template <typename Key, typename Value>
class RecentMap {
 public:
  explicit RecentMap(std::size_t most) : most_(most) {}

  /// Replaces what was known under the key, and counts as new from now on.
  void Put(const Key& key, Value value, SteadyTime now) {
    Entry& entry = entries_[key];
    entry = {std::move(value), now, ++last_number_};
    order_.emplace_back(last_number_, key);
    while (entries_.size() > most_ || order_.size() > 2 * most_) PopOldest();
  }
  /// Null when it is not known; good until the next Put or Expire.
  const Value* Find(const Key& key) const {
    const auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : &it->second.value;
  }
  /// Forgets what was put before `before`.
  void Expire(SteadyTime before) {
    while (!order_.empty()) {
      const auto it = entries_.find(order_.front().second);
      const bool is_outdated = it == entries_.end() || it->second.number != order_.front().first;
      if (!is_outdated && it->second.put >= before) return;
      PopOldest();
    }
  }
  std::size_t size() const { return entries_.size(); }
  /// Entries that were put later than this are still known.
  SteadyTime forgotten_until() const { return forgotten_until_; }

 private:
  struct Entry {
    Value value;
    SteadyTime put;
    std::uint64_t number = 0;
  };
  void PopOldest() {
    const auto it = entries_.find(order_.front().second);
    // One that was put again has its place further back.
    if (it != entries_.end() && it->second.number == order_.front().first) {
      forgotten_until_ = std::max(forgotten_until_, it->second.put);
      entries_.erase(it);
    }
    order_.pop_front();
  }

  std::size_t most_;
  SteadyTime forgotten_until_ = SteadyTime::min();
  std::uint64_t last_number_ = 0;
  absl::flat_hash_map<Key, Entry> entries_;
  std::deque<std::pair<std::uint64_t, Key>> order_;
};

}  // namespace rookery::session_manager
