#include "rookery/sharding/duplicate_filter.h"

#include <algorithm>
#include <utility>

namespace rookery::sharding {

namespace {

// A part has 16 bits beside the count: a stanza that leads to more records than that is a
// broadcast, where a repetition does no harm.
constexpr std::uint64_t kParts = 1 << 16;
constexpr std::int64_t kTurnedAfterHorizons = DuplicateFilter::kMostHorizons / 2;

}  // namespace

DuplicateFilter::Source& DuplicateFilter::SourceOf(events::v1::Topic topic, std::uint32_t shard) {
  // Records of before the topic was named are of users.
  const int known = topic == events::v1::TOPIC_UNSPECIFIED ? events::v1::TOPIC_USERS : topic;
  return sources_[{known, shard}];
}

bool DuplicateFilter::IsStale(const Source& source, std::int64_t epoch) const {
  // An owner that was cut off and comes back within this time says again only what it may have
  // confirmed already. One that was away for longer has given up what it had to say, or its
  // successor has said it.
  return epoch < source.epoch && now_ms_ - source.epoch_since_ms > horizon_ms_ / 2;
}

void DuplicateFilter::NoteEpoch(Source& source, const events::v1::Origin& origin) {
  if (origin.epoch() < source.epoch) return;
  if (origin.epoch() > source.epoch) {
    source.epoch = origin.epoch();
    source.epoch_since_ms = now_ms_;
  }
  if (origin.log_since() > source.log_since) {
    source.log_since = origin.log_since();
    if (origin.cursor() < source.cursor) {
      // Offsets begin anew below what is remembered.
      source.applied.EraseFrom(origin.cursor());
      source.cursor = origin.cursor();
    }
  }
  if (origin.cursor() <= source.cursor) return;
  source.cursor = origin.cursor();
  source.applied.EraseBefore(source.cursor);
}

void DuplicateFilter::PassTime(std::int64_t timestamp_ms) {
  const std::int64_t before = std::exchange(now_ms_, std::max(now_ms_, timestamp_ms));
  // Where the log stood still, perhaps nobody could write to it: what somebody had under way before may be
  // said again after it, however long that was.
  const std::int64_t silence = now_ms_ - before - horizon_ms_ / kSlices;
  if (turned_ms_ == 0) {
    turned_ms_ = now_ms_;
  } else if (silence > 0) {
    turned_ms_ += silence;
  }
  if (now_ms_ - turned_ms_ < kTurnedAfterHorizons * horizon_ms_) return;
  older_ = std::move(recent_);
  recent_.clear();
  turned_ms_ = now_ms_;
}

DuplicateFilter::Verdict DuplicateFilter::Check(const events::v1::Origin& origin, std::int64_t timestamp_ms) {
  PassTime(timestamp_ms);
  Source& source = SourceOf(origin.topic(), origin.shard());
  if (origin.has_client()) {
    if (IsStale(source, origin.epoch())) return Verdict::kStaleEpoch;
    NoteEpoch(source, origin);
    return CheckClient(origin.client());
  }
  if (origin.has_log()) {
    if (IsStale(source, origin.epoch())) return Verdict::kStaleEpoch;
    NoteEpoch(source, origin);
    if (origin.log().offset() < source.cursor) return Verdict::kDuplicate;
    return source.applied.Insert(origin.log().offset(), origin.log().part()) ? Verdict::kApply
                                                                             : Verdict::kDuplicate;
  }
  if (origin.epoch() < source.epoch) return Verdict::kStaleEpoch;
  NoteEpoch(source, origin);
  return Verdict::kApply;
}

DuplicateFilter::Client& DuplicateFilter::ClientOf(const std::string& session) {
  const auto [known, is_new] = recent_.try_emplace(session);
  if (is_new) {
    if (const auto old = older_.find(session); old != older_.end()) {
      known->second = std::move(old->second);
      older_.erase(old);
    }
  }
  return known->second;
}

DuplicateFilter::Verdict DuplicateFilter::CheckClient(const events::v1::ClientOrigin& origin) {
  // Under any epoch: an owner that was frozen appends only what its successor appends again, and what
  // it appended first may already be acknowledged.
  const std::uint64_t number = origin.count() * kParts + std::min<std::uint64_t>(origin.part(), kParts - 1);
  Client& client = ClientOf(origin.session_id());
  auto& applied = client.applied;
  // The last part of the last stanza that was confirmed.
  client.settled = std::max(client.settled, origin.confirmed_count() * kParts + kParts - 1);
  if (!applied.empty() && applied.front() <= client.settled)
    applied.erase(applied.begin(), std::upper_bound(applied.begin(), applied.end(), client.settled));
  if (number <= client.settled) return Verdict::kDuplicate;
  if (applied.empty() || applied.back() < number) {
    applied.push_back(number);
  } else {
    const auto place = std::lower_bound(applied.begin(), applied.end(), number);
    if (*place == number) return Verdict::kDuplicate;
    applied.insert(place, number);
  }
  if (applied.size() > kMostOfAClient) {
    client.settled = applied.front();
    applied.erase(applied.begin());
  }
  return Verdict::kApply;
}

void DuplicateFilter::SawFence(events::v1::Topic topic, std::uint32_t shard, std::int64_t epoch,
                               std::int64_t timestamp_ms) {
  PassTime(timestamp_ms);
  Source& source = SourceOf(topic, shard);
  if (epoch <= source.epoch) return;
  source.epoch = epoch;
  source.epoch_since_ms = now_ms_;
}

std::size_t DuplicateFilter::remembered() const {
  std::size_t count = 0;
  for (const auto& [key, source] : sources_) count += source.applied.size();
  return count;
}

std::size_t DuplicateFilter::remembered_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [key, source] : sources_) bytes += source.applied.bytes();
  return bytes;
}

}  // namespace rookery::sharding
