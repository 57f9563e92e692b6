#include "domain/state/pending_ends.h"

#include <utility>

namespace rookery::session_manager {

void PendingEnds::Add(const std::shared_ptr<PendingEnd>& end) {
  ++size_;
  if (!end->gateway.empty()) gateways_.insert_or_assign(end->session, end->gateway);
  if (end->offset >= 0) end->place = uncommitted_.emplace(end->offset, end);
  if (end->limit != SteadyTime::max()) limits_.Push(end->limit, end);
}

void PendingEnds::Tell(PendingEnd& end) {
  if (std::exchange(end.told, true)) return;
  --size_;
  gateways_.erase(end.session);
  const std::function<void()> tell = std::exchange(end.tell, nullptr);
  // The last: it may be all that keeps the end.
  if (end.place) uncommitted_.erase(*std::exchange(end.place, std::nullopt));
  tell();
}

bool PendingEnds::IsAwaitedBy(const SessionId& session, std::string_view gateway) const {
  const auto found = gateways_.find(session);
  return found != gateways_.end() && found->second == gateway;
}

void PendingEnds::OnWritten(PendingEnd& end, std::int64_t last_commit) {
  end.written = true;
  if (end.offset < last_commit || end.offset < 0) Tell(end);
}

void PendingEnds::OnCommitted(std::int64_t last_commit) {
  while (!uncommitted_.empty() && uncommitted_.begin()->first < last_commit) {
    ++looks_;
    const std::shared_ptr<PendingEnd> end = std::move(uncommitted_.begin()->second);
    uncommitted_.erase(uncommitted_.begin());
    end->place.reset();
    if (end->written) Tell(*end);
  }
}

void PendingEnds::OnTime(SteadyTime now) {
  while (const auto due = limits_.Pop(now)) {
    ++looks_;
    const std::shared_ptr<PendingEnd> end = due->lock();
    if (end && !end->told) end->on_limit();
  }
}

bool PendingEnds::WantCommit(std::int64_t cursor, std::int64_t last_commit) const {
  if (cursor <= last_commit) return false;
  const auto first = uncommitted_.lower_bound(last_commit);
  ++looks_;
  return first != uncommitted_.end() && first->first < cursor;
}

}  // namespace rookery::session_manager
