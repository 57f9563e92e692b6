#include "domain/archive_rules.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "rookery/base/sha256.h"

namespace rookery::search {

namespace {

using std::chrono::days;
using std::chrono::milliseconds;
using std::chrono::sys_days;

constexpr std::int64_t kMaxTimeMs = 253'402'300'799'999;  // the end of 9999
constexpr std::uint64_t kMaxNumber = std::uint64_t{1} << 63;

std::int64_t MillisOf(sys_days day) { return milliseconds(day.time_since_epoch()).count(); }

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

void GoBehind(IdRange& range, std::optional<std::uint64_t> id) {
  if (id) range.first = std::max(range.first, std::min(*id, ArchiveFilter::kMaxId) + 1);
}

void StayBefore(IdRange& range, std::optional<std::uint64_t> id) {
  if (id) range.last = std::min(range.last, *id > 0 ? *id - 1 : 0);
}

std::int64_t FirstBytesOf(const Sha256Digest& digest) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | digest[i];
  return static_cast<std::int64_t>(number);
}

}  // namespace

std::optional<TimeSpan> PeriodOf(std::int64_t at_ms, ArchivePeriod period) {
  if (at_ms < kFirstPeriodMs || at_ms >= kPastPeriodsMs) return std::nullopt;
  const sys_days day = std::chrono::floor<days>(std::chrono::sys_time<milliseconds>(milliseconds(at_ms)));
  if (period == ArchivePeriod::kDay) return TimeSpan{MillisOf(day), MillisOf(day + days(1))};
  const std::chrono::year_month_day date(day);
  const std::chrono::year_month month(date.year(), date.month());
  const std::chrono::day first(1);
  return TimeSpan{MillisOf(month / first), MillisOf((month + std::chrono::months(1)) / first)};
}

std::int64_t StorableTime(std::int64_t at_ms) { return std::clamp(at_ms, std::int64_t{0}, kMaxTimeMs); }

bool IsOwner(std::string_view owner) {
  return !owner.empty() && owner.size() <= kMaxBareBytes && !HasNul(owner);
}

bool IsStorable(const ArchivedMessage& message) {
  return IsOwner(message.owner) && message.id > 0 && message.id <= ArchiveFilter::kMaxId &&
         message.generation < kMaxNumber && message.peer.size() <= kMaxBareBytes &&
         message.peer_resource.size() <= kMaxResourceBytes && message.stanza.size() <= kMaxStanzaBytes &&
         !HasNul(message.peer) && !HasNul(message.peer_resource);
}

bool IsAnswerable(const PageRequest& request) {
  return request.max_rows <= PageRequest::kMaxRows &&
         (!request.filter.ids || request.filter.ids->size() <= ArchiveFilter::kMaxIds);
}

IdRange IdRangeOf(const ArchiveFilter& filter) {
  IdRange range{std::clamp<std::uint64_t>(filter.first_id, 1, ArchiveFilter::kMaxId + 1),
                std::min(filter.last_id, ArchiveFilter::kMaxId)};
  GoBehind(range, filter.after_id);
  StayBefore(range, filter.before_id);
  return range;
}

IdRange IdRangeOf(const PageRequest& request) {
  IdRange range = IdRangeOf(request.filter);
  GoBehind(range, request.after);
  StayBefore(range, request.before);
  return range;
}

std::vector<std::uint64_t> NamedIds(const PageRequest& request) {
  std::vector<std::uint64_t> ids = request.filter.ids.value_or(std::vector<std::uint64_t>());
  for (const auto& id : {request.filter.after_id, request.filter.before_id, request.after, request.before})
    if (id) ids.push_back(*id);
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::int64_t WithKeyOf(std::string_view owner, std::string_view peer) {
  // No address has a NUL.
  return FirstBytesOf(Sha256(std::string(owner) + '\0' + std::string(peer)));
}

std::int64_t WithKeyOf(std::string_view owner, std::string_view peer, std::string_view resource) {
  return FirstBytesOf(Sha256(std::string(owner) + '\0' + std::string(peer) + '\0' + std::string(resource)));
}

}  // namespace rookery::search
