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

void Add(std::vector<std::uint64_t>& ids, std::optional<std::uint64_t> id) {
  if (id) ids.push_back(*id);
}

/// `all`, of what stands in the others and `ids`.
void Collect(NamedIds& named, const std::optional<std::vector<std::uint64_t>>& ids) {
  named.all = ids.value_or(std::vector<std::uint64_t>());
  named.all.insert(named.all.end(), named.after.begin(), named.after.end());
  named.all.insert(named.all.end(), named.before.begin(), named.before.end());
  std::ranges::sort(named.all);
  named.all.erase(std::unique(named.all.begin(), named.all.end()), named.all.end());
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
         message.position >= 0 && message.position <= ArchiveFilter::kMaxPosition &&
         message.generation < kMaxNumber && message.peer.size() <= kMaxBareBytes &&
         message.peer_resource.size() <= kMaxResourceBytes && message.stanza.size() <= kMaxStanzaBytes &&
         !HasNul(message.peer) && !HasNul(message.peer_resource);
}

bool IsAnswerable(const PageRequest& request) {
  return request.max_rows <= PageRequest::kMaxRows &&
         (!request.filter.ids || request.filter.ids->size() <= ArchiveFilter::kMaxIds);
}

PositionRange PositionRangeOf(const ArchiveFilter& filter) {
  return {std::clamp<std::int64_t>(filter.first_position, 0, ArchiveFilter::kMaxPosition + 1),
          std::clamp<std::int64_t>(filter.last_position, -1, ArchiveFilter::kMaxPosition)};
}

NamedIds NamedIdsOf(const ArchiveFilter& filter) {
  NamedIds named;
  Add(named.after, filter.after_id);
  Add(named.before, filter.before_id);
  Collect(named, filter.ids);
  return named;
}

NamedIds NamedIdsOf(const PageRequest& request) {
  NamedIds named = NamedIdsOf(request.filter);
  Add(named.after, request.after);
  Add(named.before, request.before);
  Collect(named, request.filter.ids);
  return named;
}

std::int64_t OwnerKeyOf(std::string_view owner) { return FirstBytesOf(Sha256(std::string(owner))); }

std::int64_t WithKeyOf(std::string_view owner, std::string_view peer) {
  // No address has a NUL.
  return FirstBytesOf(Sha256(std::string(owner) + '\0' + std::string(peer)));
}

std::int64_t WithKeyOf(std::string_view owner, std::string_view peer, std::string_view resource) {
  return FirstBytesOf(Sha256(std::string(owner) + '\0' + std::string(peer) + '\0' + std::string(resource)));
}

}  // namespace rookery::search
