#include "domain/delivery/session_closer.h"

#include <algorithm>

#include "domain/delivery/offline_messages.h"
#include "domain/session_keeper.h"

namespace rookery::session_manager {

namespace {
/// A client whose stream is to be closed waits no longer than this for a log or a store.
constexpr std::chrono::seconds kOpenLimit{1};
/// More ends than this are not held back in one shard.
constexpr std::size_t kMaxPending = 20'000;

bool IsCommitted(const Shard& shard, std::int64_t offset) { return offset < 0 || offset < shard.last_commit; }
}  // namespace

void SessionCloser::Tell(PendingEnd& end) {
  if (std::exchange(end.told, true)) return;
  std::exchange(end.tell, nullptr)();
}

bool SessionCloser::Close(const std::shared_ptr<Session>& session, bool is_open, std::function<void()> tell) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(core_.ShardNumberOf(session->jid.bare()));
  auto end = std::make_shared<PendingEnd>();
  end->offset = session->last_primary;
  end->has_rows = session->has_rows;
  end->tell = std::move(tell);
  OfflineMessages::AfterWrites(*session, [this, number = shard->number, epoch = shard->epoch, end] {
    end->written = true;
    const Shard* now = core_.FindShard(number);
    if (now != nullptr && now->epoch == epoch && IsCommitted(*now, end->offset)) Tell(*end);
  });
  if (!end->told && !end->has_rows && shard->pending_ends.size() >= kMaxPending) Tell(*end);
  if (end->told) return true;
  if (is_open) end->limit = core_.clock().Now() + kOpenLimit;
  shard->pending_ends.push_back(std::move(end));
  Check(*shard);
  return false;
}

void SessionCloser::Check(Shard& shard) {
  const std::int64_t cursor = shard.window.cursor();
  const bool is_wanted =
      cursor > shard.last_commit &&
      std::any_of(shard.pending_ends.begin(), shard.pending_ends.end(),
                  [&](const auto& end) { return !IsCommitted(shard, end->offset) && end->offset < cursor; });
  if (is_wanted) core_.shards().CommitCursors();
}

void SessionCloser::OnCommitted(Shard& shard) {
  for (const auto& end : shard.pending_ends)
    if (end->written && IsCommitted(shard, end->offset)) Tell(*end);
  shard.pending_ends.remove_if([](const auto& end) { return end->told; });
  Check(shard);
}

void SessionCloser::Sweep(Shard& shard) {
  const SteadyTime now = core_.clock().Now();
  for (const auto& end : shard.pending_ends)
    if (now > end->limit && (end->written || !end->has_rows)) Tell(*end);
  shard.pending_ends.remove_if([](const auto& end) { return end->told; });
}

}  // namespace rookery::session_manager
