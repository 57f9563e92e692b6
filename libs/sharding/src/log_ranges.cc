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

Task<absl::StatusOr<LookBack>> LogRanges::FindLookBack(std::uint32_t shard, LogRange range) const {
  LookBack look_back{range.end, 0};
  if (range.first >= range.end) co_return look_back;
  // Counted back from the record at the cursor, for the one that it repeats; where all is finished, from
  // the newest. Its time is found by asking for the first record that is not older than ever earlier
  // times: this process's clock may be ahead of the others', and the log may have been silent for long.
  // `early` is not later than that record.
  const bool is_unfinished = range.committed >= range.first && range.committed < range.end;
  const std::int64_t oldest = is_unfinished ? range.committed : range.end - 1;
  const std::int64_t horizon = duplicate_horizon_.count();
  const std::int64_t now = clock_.UnixMillisNow();
  std::int64_t late = now, early = now;
  for (std::int64_t age = horizon;; age *= 2) {
    late = std::exchange(early, std::max<std::int64_t>(now - age, 0));
    const auto from = co_await consumer_->OffsetForTime(P(shard), early);
    ROOKERY_CO_RETURN_IF_ERROR(from.status());
    if (*from <= oldest || early == 0) break;
  }
  while (late - early > horizon) {
    const std::int64_t middle = early + (late - early) / 2;
    const auto from = co_await consumer_->OffsetForTime(P(shard), middle);
    ROOKERY_CO_RETURN_IF_ERROR(from.status());
    (*from <= oldest ? early : late) = middle;
  }
  look_back.since_ms = std::max<std::int64_t>(early - horizon, 0);
  const auto from = co_await consumer_->OffsetForTime(P(shard), look_back.since_ms);
  ROOKERY_CO_RETURN_IF_ERROR(from.status());
  look_back.offset = std::clamp(*from, range.first, range.end);
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
