#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "domain/recent_map.h"
#include "rookery/base/clock.h"
#include "rookery/base/session_id.h"

namespace rookery::session_manager {

/// Stanzas of clients of one shard, by session and count: those that earlier owners have put into its log
/// (`Outbound`), where one that is sent again is in good hands; and those that were said again without it
/// (README.md, O4). Beyond kMost the oldest go first. I/O thread only.
class LoggedStanzas {
 public:
  static constexpr std::size_t kMost = 200'000;

  void Add(const SessionId& session, std::uint64_t count, SteadyTime now) {
    stanzas_.Put({session, count}, true, now);
  }
  bool Contains(const SessionId& session, std::uint64_t count) const {
    return stanzas_.size() > 0 && stanzas_.Find({session, count}) != nullptr;
  }
  /// Forgets what was added before `before`.
  void Expire(SteadyTime before) { stanzas_.Expire(before); }

 private:
  RecentMap<std::pair<SessionId, std::uint64_t>, bool> stanzas_{kMost};
};

}  // namespace rookery::session_manager
