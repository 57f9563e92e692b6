#include "rookery/sharding/kept_cursors.h"

#include <algorithm>
#include <string>
#include <utility>

#include "rookery/base/deadline.h"
#include "rookery/base/status.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {

Task<absl::StatusOr<KeptCursors::Found>> KeptCursors::Find(ShardService& service, std::uint32_t number,
                                                           std::int64_t end) const {
  const absl::StatusOr<std::optional<ShardService::KeptCursor>> kept = co_await service.FindCursor(number);
  if (!kept.ok()) co_return kept.status();
  Found found;
  if (!*kept) co_return found;
  found.is_kept = true;
  found.epoch = (*kept)->epoch;
  if (published_epoch_) {
    const std::int64_t published = co_await published_epoch_(number);
    found.epoch = std::max(found.epoch, published);
  }
  // The log does not reach as far as that owner's fence: it is another one, whose offsets the store has not.
  if (found.epoch >= end) co_return found;
  if ((*kept)->cursor >= 0) {
    found.cursor = (*kept)->cursor;
    telemetry::LogWarn("shard.cursor_from_store", {{"shard", number}, {"cursor", found.cursor}});
    co_return found;
  }
  // An owner commits a cursor before it appends its fence: whoever has had an epoch has had one.
  if (found.epoch < 0) co_return found;
  co_return absl::DataLossError("neither the group nor the store has the cursor of shard " +
                                std::to_string(number) + ", which epoch " + std::to_string(found.epoch) +
                                " has owned: set the offset of the group");
}

void KeptCursors::KeepIfDue(ShardService& service, Shard& shard) const {
  const SteadyTime now = clock_.Now();
  const std::int64_t cursor = shard.last_commit;
  const bool is_due = shard.kept_at == SteadyTime::min() || now - shard.kept_at >= kEvery;
  if (cursor < 0 || cursor == shard.kept_cursor || !is_due) return;
  shard.kept_at = now;
  shard.Spawn("shard.keep_cursor", Write(service, shard.shared_from_this(), cursor, [] {}));
}

Task<void> KeptCursors::Keep(ShardService& service, runtime::TaskGroup& tasks, std::shared_ptr<Shard> shard,
                             SteadyTime limit) const {
  // Finished records are finished whether or not the group has taken the commit.
  const std::int64_t cursor = shard->window.cursor();
  if (cursor == shard->kept_cursor) co_return;
  const auto kept = std::make_shared<runtime::Event>(executor_);
  tasks.Spawn("shard.keep_cursor", Write(service, shard, cursor, [kept] { kept->Set(); }));
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - clock_.Now());
  (void)co_await kept->Wait(Deadline::After(std::max(left, std::chrono::milliseconds::zero())));
}

Task<void> KeptCursors::Write(ShardService& service, std::shared_ptr<Shard> shard, std::int64_t cursor,
                              std::function<void()> then) {
  const absl::Status written = co_await service.KeepCursor(shard->number, shard->epoch, cursor);
  if (written.ok()) {
    shard->kept_cursor = cursor;
  } else {
    // The next one will do, at the hand-over at the latest.
    telemetry::LogWarn("shard.cursor_not_kept", {{"shard", shard->number}, {"error", Message(written)}});
  }
  then();
}

}  // namespace rookery::sharding
