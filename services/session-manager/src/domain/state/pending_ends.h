#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "rookery/base/clock.h"
#include "rookery/base/due_heap.h"
#include "rookery/base/session_id.h"

namespace rookery::session_manager {

/// The message that a gateway is sent at the end of a session, once it may forget the session.
struct PendingEnd {
  /// Of that session; `gateway` is told. Empty: nobody is.
  SessionId session;
  std::string gateway;
  /// Records up to here must be finished and the cursor committed beyond them; below 0: none.
  std::int64_t offset = -1;
  std::function<void()> tell;
  /// Called when `limit` has passed before it is told, if there is one.
  std::function<void()> on_limit;
  SteadyTime limit = SteadyTime::max();

  // PendingEnds' own.
  bool written = false;
  bool told = false;
  std::optional<std::multimap<std::int64_t, std::shared_ptr<PendingEnd>>::iterator> place;
};

/// The ends of one shard's sessions of which gateways are not told yet. An end is told when the
/// offline store has what the session leaves to it and the cursor is committed beyond its records.
/// Every call costs what is due, not what waits: one client that holds the cursor keeps thousands of ends
/// waiting. Owned by the shard.
class PendingEnds {
 public:
  void Add(const std::shared_ptr<PendingEnd>& end);
  /// The offline store has what the session leaves to it, and marks for what its client has had.
  void OnWritten(PendingEnd& end, std::int64_t last_commit);
  void OnCommitted(std::int64_t last_commit);
  void OnTime(SteadyTime now);
  /// An end waits for nothing but a commit of `cursor`.
  bool WantCommit(std::int64_t cursor, std::int64_t last_commit) const;
  void Tell(PendingEnd& end);
  /// Whether the gateway is to be told of the session's end, and must keep it until then.
  bool IsAwaitedBy(const SessionId& session, std::string_view gateway) const;

  /// Those that are not told.
  std::size_t size() const { return size_; }
  /// Ends that calls have looked at so far.
  std::size_t LooksForTest() const { return looks_; }

 private:
  using ByOffset = std::multimap<std::int64_t, std::shared_ptr<PendingEnd>>;

  /// Those beyond which the cursor is not committed.
  ByOffset uncommitted_;
  DueHeap<std::weak_ptr<PendingEnd>> limits_;
  /// Those of which a gateway is told, by session.
  absl::flat_hash_map<SessionId, std::string> gateways_;
  std::size_t size_ = 0;
  mutable std::size_t looks_ = 0;
};

}  // namespace rookery::session_manager
