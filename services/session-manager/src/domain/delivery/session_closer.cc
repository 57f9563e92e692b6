#include "domain/delivery/session_closer.h"

#include <algorithm>
#include <utility>

#include "domain/addresses.h"
#include "domain/delivery/session_rows.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

namespace {
/// A client whose stream is to be closed waits no longer than this for a log or a store.
constexpr std::chrono::seconds kCloseAfter{1};
/// More ends than this are not held back in one shard.
constexpr std::size_t kMaxPending = 20'000;
}  // namespace

void SessionCloser::Close(const std::shared_ptr<Session>& session, std::string gateway,
                          std::function<void()> tell, std::function<void()> close, std::int64_t holds) {
  const std::shared_ptr<Shard> shard = shards_.Shared(addresses_.ShardOf(session->jid.bare()));
  auto end = std::make_shared<PendingEnd>();
  // No commit goes beyond what holds the cursor.
  end->offset = holds < 0 ? session->last_primary : std::min(session->last_primary, holds - 1);
  end->session = session->id;
  end->gateway = std::move(gateway);
  end->tell = std::move(tell);
  end->on_limit = std::move(close);
  if (end->on_limit) end->limit = clock_.Now() + kCloseAfter;
  shard->pending_ends.Add(end);
  AfterEndWrites(*session, [this, number = shard->number, epoch = shard->epoch, end] {
    Shard* now = shards_.Find(number);
    if (now != nullptr && now->epoch == epoch) now->pending_ends.OnWritten(*end, now->last_commit);
  });
  // Rather is something given twice than nobody knows what became of the only copy.
  if (!session->has_rows && shard->pending_ends.size() > kMaxPending) shard->pending_ends.Tell(*end);
  if (!end->told) Check(*shard);
}

void SessionCloser::Check(Shard& shard) {
  if (shard.pending_ends.WantCommit(shard.window.cursor(), shard.last_commit)) owner_.CommitCursors();
}

void SessionCloser::OnCommitted(Shard& shard) {
  shard.pending_ends.OnCommitted(shard.last_commit);
  Check(shard);
}

void SessionCloser::Sweep(Shard& shard) { shard.pending_ends.OnTime(clock_.Now()); }

}  // namespace rookery::session_manager
