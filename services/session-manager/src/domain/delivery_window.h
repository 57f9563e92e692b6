#pragma once

#include <cstdint>
#include <deque>

namespace rookery::session_manager {

/// The records of one shard that have been read and are not finished, and the cursor:
/// the offset from which the next owner must read. Each reason to keep a record is a
/// hold; the cursor passes a record when its last hold is released.
class DeliveryWindow {
 public:
  /// Begins at `offset`: nothing before it is kept.
  void Start(std::int64_t offset);
  /// A record was read; offsets rise. It has one hold, the reader's.
  void Add(std::int64_t offset);
  void Hold(std::int64_t offset);
  /// Offsets that are not in the window (older than Start) are ignored.
  void Release(std::int64_t offset);

  std::int64_t cursor() const { return records_.empty() ? next_ : records_.front().offset; }
  std::int64_t next_offset() const { return next_; }
  std::size_t size() const { return records_.size(); }

 private:
  struct Record {
    std::int64_t offset;
    std::uint32_t holds;
  };
  Record* Find(std::int64_t offset);

  std::deque<Record> records_;
  std::int64_t next_ = 0;
};

}  // namespace rookery::session_manager
