#include "rookery/sharding/unfinished_records.h"

#include <algorithm>
#include <limits>

#include "rookery/base/check.h"

namespace rookery::sharding {

namespace {
/// So many records may stand behind an unfinished one before those that are finished are dropped.
constexpr std::size_t kCompactAt = 1'024;
}  // namespace

void UnfinishedRecords::Start(std::int64_t offset) {
  recent_.clear();
  stuck_.clear();
  count_ = bytes_ = 0;
  next_ = offset;
}

void UnfinishedRecords::Add(std::int64_t offset, std::size_t bytes) {
  ROOKERY_CHECK(offset >= next_);
  if (recent_.size() >= kCompactAt && recent_.size() >= 2 * count_) Compact();
  const auto kept =
      static_cast<std::uint32_t>(std::min<std::size_t>(bytes, std::numeric_limits<std::uint32_t>::max()));
  recent_.push_back({offset, 1, kept});
  ++count_;
  bytes_ += kept;
  next_ = offset + 1;
}

std::int64_t UnfinishedRecords::cursor() const {
  if (!stuck_.empty()) return stuck_.begin()->first;
  return recent_.empty() ? next_ : recent_.front().offset;
}

UnfinishedRecords::Record* UnfinishedRecords::Find(std::int64_t offset) {
  if (!recent_.empty() && offset >= recent_.front().offset) {
    // Offsets have no gaps in nearly every partition: try the place by arithmetic first.
    const auto index = static_cast<std::size_t>(offset - recent_.front().offset);
    if (index < recent_.size() && recent_[index].offset == offset) return &recent_[index];
    const auto it =
        std::lower_bound(recent_.begin(), recent_.end(), offset,
                         [](const Record& record, std::int64_t wanted) { return record.offset < wanted; });
    return it != recent_.end() && it->offset == offset ? &*it : nullptr;
  }
  const auto it = stuck_.find(offset);
  return it == stuck_.end() ? nullptr : &it->second;
}

void UnfinishedRecords::Hold(std::int64_t offset) {
  // A finished record stays finished: whoever comes so late holds nothing.
  if (Record* record = Find(offset); record != nullptr && record->holds > 0) ++record->holds;
}

void UnfinishedRecords::Release(std::int64_t offset) {
  Record* record = Find(offset);
  if (record == nullptr || record->holds == 0) return;
  if (--record->holds > 0) return;
  --count_;
  bytes_ -= record->bytes;
  if (recent_.empty() || offset < recent_.front().offset) {
    stuck_.erase(offset);
  } else {
    TrimFront();
  }
}

void UnfinishedRecords::TrimFront() {
  while (!recent_.empty() && recent_.front().holds == 0) recent_.pop_front();
}

void UnfinishedRecords::Compact() {
  // The newer half stays: most of it is about to finish.
  for (std::size_t left = recent_.size() / 2; left > 0 && !recent_.empty(); --left) {
    const Record record = recent_.front();
    recent_.pop_front();
    if (record.holds > 0) stuck_.emplace_hint(stuck_.end(), record.offset, record);
  }
  TrimFront();
}

}  // namespace rookery::sharding
