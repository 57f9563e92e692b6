#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "rookery/base/clock.h"

namespace rookery {

/// Items by when they are due, the soonest first. Looking costs nothing while nothing is due.
template <typename T>
class DueHeap {
 public:
  void Push(SteadyTime at, T item) {
    entries_.emplace_back(at, std::move(item));
    std::push_heap(entries_.begin(), entries_.end(), IsLater);
  }
  /// The next one that is due, if any. SteadyTime::max(): the next one, due or not.
  std::optional<T> Pop(SteadyTime now) {
    if (entries_.empty() || entries_.front().first > now) return std::nullopt;
    std::pop_heap(entries_.begin(), entries_.end(), IsLater);
    std::optional<T> item(std::move(entries_.back().second));
    entries_.pop_back();
    return item;
  }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  void clear() { entries_.clear(); }

 private:
  using Entry = std::pair<SteadyTime, T>;
  static bool IsLater(const Entry& a, const Entry& b) { return a.first > b.first; }
  std::vector<Entry> entries_;
};

}  // namespace rookery
