#include "rookery/sharding/duplicate_filter.h"

#include <algorithm>

namespace rookery::sharding {

namespace {

// A part has 16 bits beside the count: a stanza that leads to more records than that is a
// broadcast, where a repetition does no harm.
constexpr std::uint64_t kParts = 1 << 16;
constexpr std::int64_t kHorizonsRemembered = 4;

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

void DuplicateFilter::NoteEpoch(Source& source, std::int64_t epoch, std::int64_t cursor) {
  if (epoch < source.epoch) return;
  if (epoch > source.epoch) {
    source.epoch = epoch;
    source.epoch_since_ms = now_ms_;
    if (cursor < source.cursor) {
      // Its log was cut: offsets begin anew below what is remembered.
      source.applied.EraseFrom(cursor);
      source.cursor = cursor;
    }
  }
  if (cursor <= source.cursor) return;
  source.cursor = cursor;
  source.applied.EraseBefore(cursor);
}

void DuplicateFilter::PassTime(std::int64_t timestamp_ms) {
  now_ms_ = std::max(now_ms_, timestamp_ms);
  if (turned_ms_ == 0) turned_ms_ = now_ms_;
  if (now_ms_ - turned_ms_ < kHorizonsRemembered * horizon_ms_) return;
  const bool is_long_ago = now_ms_ - turned_ms_ >= 2 * kHorizonsRemembered * horizon_ms_;
  older_ = std::move(recent_);
  older_late_ = std::move(late_);
  if (is_long_ago) {
    older_.clear();
    older_late_.clear();
  }
  recent_.clear();
  late_.clear();
  turned_ms_ = now_ms_;
}

DuplicateFilter::Verdict DuplicateFilter::Check(const events::v1::Origin& origin, std::int64_t timestamp_ms) {
  PassTime(timestamp_ms);
  Source& source = SourceOf(origin.topic(), origin.shard());
  if (origin.has_client()) {
    if (IsStale(source, origin.epoch())) return Verdict::kStaleEpoch;
    const bool is_late = origin.epoch() < source.epoch;
    NoteEpoch(source, origin.epoch(), origin.cursor());
    return CheckClient(origin.client(), is_late);
  }
  if (origin.has_log()) {
    if (IsStale(source, origin.epoch())) return Verdict::kStaleEpoch;
    NoteEpoch(source, origin.epoch(), origin.cursor());
    if (origin.log().offset() < source.cursor) return Verdict::kDuplicate;
    return source.applied.Insert(origin.log().offset(), origin.log().part()) ? Verdict::kApply
                                                                             : Verdict::kDuplicate;
  }
  if (origin.epoch() < source.epoch) return Verdict::kStaleEpoch;
  NoteEpoch(source, origin.epoch(), origin.cursor());
  return Verdict::kApply;
}

DuplicateFilter::Verdict DuplicateFilter::CheckClient(const events::v1::ClientOrigin& client, bool is_late) {
  // Under any other epoch: an owner that was frozen appends only what its successor appends
  // again, and what it appended first may already be acknowledged.
  const std::uint64_t number = client.count() * kParts + std::min<std::uint64_t>(client.part(), kParts - 1);
  auto known = recent_.find(client.session_id());
  if (known == recent_.end()) {
    std::uint64_t highest = 0;
    if (const auto old = older_.find(client.session_id()); old != older_.end()) {
      highest = old->second;
      older_.erase(old);
    }
    known = recent_.emplace(client.session_id(), highest).first;
  }
  if (number <= known->second) return Verdict::kDuplicate;
  if (Contains(late_, client.session_id(), number) || Contains(older_late_, client.session_id(), number))
    return Verdict::kDuplicate;
  // Of what came late, some may count for nobody, and is said again in its order: what came behind it makes
  // it no repetition.
  if (is_late) {
    late_[client.session_id()].push_back(number);
  } else {
    known->second = number;
  }
  return Verdict::kApply;
}

bool DuplicateFilter::Contains(const LateRecords& late, const std::string& session, std::uint64_t number) {
  if (late.empty()) return false;
  const auto found = late.find(session);
  return found != late.end() &&
         std::find(found->second.begin(), found->second.end(), number) != found->second.end();
}

void DuplicateFilter::SawFence(events::v1::Topic topic, std::uint32_t shard, std::int64_t epoch,
                               std::int64_t timestamp_ms) {
  PassTime(timestamp_ms);
  Source& source = SourceOf(topic, shard);
  NoteEpoch(source, epoch, source.cursor);
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
