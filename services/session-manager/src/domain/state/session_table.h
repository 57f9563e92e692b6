#pragma once

#include <cstddef>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "domain/state/session.h"

namespace rookery::session_manager {

/// The sessions of all our shards by their ids. I/O thread only.
class SessionTable {
 public:
  /// Null: there is none.
  std::shared_ptr<Session> Find(const SessionId& id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second;
  }
  void Add(const std::shared_ptr<Session>& session) { by_id_.emplace(session->id, session); }
  void Erase(const SessionId& id) { by_id_.erase(id); }

  std::size_t size() const { return by_id_.size(); }
  bool empty() const { return by_id_.empty(); }
  auto begin() const { return by_id_.begin(); }
  auto end() const { return by_id_.end(); }

 private:
  absl::flat_hash_map<SessionId, std::shared_ptr<Session>> by_id_;
};

}  // namespace rookery::session_manager
