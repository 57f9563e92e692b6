#include "rookery/sharding/log_ranges.h"

#include <algorithm>
#include <utility>

#include "rookery/base/status.h"

namespace rookery::sharding {

namespace {

std::int32_t P(std::uint32_t shard) { return static_cast<std::int32_t>(shard); }

}  // namespace

Task<absl::StatusOr<LogRange>> LogRanges::Find(ShardService& service, std::uint32_t shard) const {
  LogRange range;
  const absl::StatusOr<std::int64_t> committed = co_await consumer_->Committed(P(shard));
  ROOKERY_CO_RETURN_IF_ERROR(committed.status());
  const auto marks = co_await consumer_->Watermarks(P(shard));
  ROOKERY_CO_RETURN_IF_ERROR(marks.status());
  range.committed = *committed;
  range.first = marks->first;
  range.end = marks->second;
  if (range.committed >= 0) co_return range;
  const absl::StatusOr<KeptCursors::Found> kept = co_await kept_cursors_.Find(service, shard, range.end);
  ROOKERY_CO_RETURN_IF_ERROR(kept.status());
  range.committed = kept->cursor;
  range.kept_epoch = kept->epoch;
  range.is_kept = kept->is_kept;
  co_return range;
}

Task<absl::StatusOr<std::int64_t>> LogRanges::FindTime(std::uint32_t shard, std::int64_t offset,
                                                       std::int64_t not_after) const {
  // By asking for the first record that is not older than ever earlier times: this process's clock may be
  // ahead of the others', and the log may have been silent for long. `early` is not later than the record.
  const std::int64_t precision = SliceMs();
  std::int64_t late = not_after, early = not_after;
  for (std::int64_t age = precision;; age *= 2) {
    late = std::exchange(early, std::max<std::int64_t>(not_after - age, 0));
    const auto from = co_await consumer_->OffsetForTime(P(shard), early);
    ROOKERY_CO_RETURN_IF_ERROR(from.status());
    if (*from <= offset || early == 0) break;
  }
  while (late - early > precision) {
    const std::int64_t middle = early + (late - early) / 2;
    const auto from = co_await consumer_->OffsetForTime(P(shard), middle);
    ROOKERY_CO_RETURN_IF_ERROR(from.status());
    (*from <= offset ? early : late) = middle;
  }
  co_return early;
}

Task<absl::StatusOr<LookBack>> LogRanges::FindLookBack(std::uint32_t shard, LogRange range) const {
  LookBack look_back{range.end, 0};
  if (range.first >= range.end) co_return look_back;
  // Counted back from the record at the cursor, for the one that it repeats; where all is finished, from
  // the newest.
  const bool is_unfinished = range.committed >= range.first && range.committed < range.end;
  look_back.offset = is_unfinished ? range.committed : range.end - 1;
  const auto newest = co_await FindTime(shard, look_back.offset, clock_.UnixMillisNow());
  ROOKERY_CO_RETURN_IF_ERROR(newest.status());
  look_back.since_ms = *newest;
  // Slice by slice. Where the log stood still, perhaps nobody could write to it: what somebody had under way
  // before is said again after it, and only the time in which something was said counts.
  for (int slices = 0; slices < kSlicesBack && look_back.since_ms > 0;) {
    const std::int64_t since = std::max<std::int64_t>(look_back.since_ms - SliceMs(), 0);
    const auto from = co_await consumer_->OffsetForTime(P(shard), since);
    ROOKERY_CO_RETURN_IF_ERROR(from.status());
    if (*from < look_back.offset || look_back.offset <= range.first) {
      look_back = {std::clamp(*from, range.first, range.end), since};
      ++slices;
      continue;
    }
    const auto before = co_await FindTime(shard, look_back.offset - 1, since);
    ROOKERY_CO_RETURN_IF_ERROR(before.status());
    look_back.since_ms = *before;
  }
  co_return look_back;
}

Task<absl::Status> LogRanges::Find(ShardService& service, std::uint32_t shard, LogRange& range,
                                   LookBack& look_back) const {
  const absl::StatusOr<LogRange> found = co_await Find(service, shard);
  ROOKERY_CO_RETURN_IF_ERROR(found.status());
  const absl::StatusOr<LookBack> from = co_await FindLookBack(shard, *found);
  ROOKERY_CO_RETURN_IF_ERROR(from.status());
  range = *found;
  look_back = *from;
  co_return absl::OkStatus();
}

}  // namespace rookery::sharding
