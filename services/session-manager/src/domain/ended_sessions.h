#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "domain/session_id.h"

namespace rookery::session_manager {

/// How much arrived on sessions that have ended (XEP-0198 section 5, `h` of <failed/>). Keeps the
/// newest ones.
class EndedSessions {
 public:
  struct Ended {
    std::string user;
    std::uint64_t inbound_count = 0;
  };

  void Add(const SessionId& id, Ended ended) {
    if (!by_id_.insert_or_assign(id, std::move(ended)).second) return;
    order_.push_back(id);
    if (order_.size() <= kMost) return;
    by_id_.erase(order_.front());
    order_.pop_front();
  }
  /// Null when it is not known.
  const Ended* Find(const SessionId& id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : &it->second;
  }

 private:
  static constexpr std::size_t kMost = 20'000;
  absl::flat_hash_map<SessionId, Ended> by_id_;
  std::deque<SessionId> order_;
};

}  // namespace rookery::session_manager
