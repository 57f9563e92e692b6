#include "domain/duplicate_filter.h"

#include <algorithm>

namespace rookery::session_manager {

namespace {
// A part has 16 bits beside the count: a stanza that leads to more records than that is
// a broadcast, where a repetition does no harm.
constexpr std::uint64_t kParts = 1 << 16;
}  // namespace

DuplicateFilter::Verdict DuplicateFilter::Check(const events::v1::Origin& origin, SteadyTime now) {
  Source& source = sources_[origin.shard()];
  if (origin.has_client()) {
    // Any epoch: an owner that was frozen appends only what its successor appends
    // again, and what it appended first may already be acknowledged.
    const auto& client = origin.client();
    const std::uint64_t number = client.count() * kParts + std::min<std::uint64_t>(client.part(), kParts - 1);
    Client& known = clients_[client.session_id()];
    known.last_seen = now;
    if (number <= known.highest) return Verdict::kDuplicate;
    known.highest = number;
    return Verdict::kApply;
  }
  if (origin.has_log()) {
    const auto [it, inserted] = source.applied.try_emplace({origin.log().offset(), origin.log().part()}, now);
    return inserted ? Verdict::kApply : Verdict::kDuplicate;
  }
  if (origin.epoch() < source.epoch) return Verdict::kStaleEpoch;
  source.epoch = origin.epoch();
  return Verdict::kApply;
}

void DuplicateFilter::SawEpoch(std::uint32_t shard, std::int64_t epoch) {
  Source& source = sources_[shard];
  source.epoch = std::max(source.epoch, epoch);
}

void DuplicateFilter::Expire(SteadyTime before) {
  absl::erase_if(clients_, [&](const auto& entry) { return entry.second.last_seen < before; });
  for (auto& [shard, source] : sources_) {
    std::erase_if(source.applied, [&](const auto& entry) { return entry.second < before; });
  }
}

}  // namespace rookery::session_manager
