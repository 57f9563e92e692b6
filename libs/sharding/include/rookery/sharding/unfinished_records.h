#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/container/btree_map.h"

namespace rookery::sharding {

/// The records of one shard that have been read and are not finished, and the cursor: the offset
/// from which the next owner must read. Each reason to keep a record is a hold; a record is finished
/// when its last hold is released, and the cursor stands at the oldest one that is not.
///
/// Costs memory for what is unfinished only: one record that cannot finish for an hour keeps the
/// cursor, and no room for the millions that were finished behind it.
class UnfinishedRecords {
 public:
  /// Begins at `offset`: nothing before it is kept.
  void Start(std::int64_t offset);
  /// A record of `bytes` was read; offsets rise. It has one hold, the reader's.
  void Add(std::int64_t offset, std::size_t bytes = 0);
  /// Offsets that are not kept, finished or older than Start, are ignored.
  void Hold(std::int64_t offset);
  void Release(std::int64_t offset);

  std::int64_t cursor() const;
  /// The offset after the newest record.
  std::int64_t next_offset() const { return next_; }
  /// Unfinished records, and their bytes.
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return bytes_; }
  /// Records that are kept in memory, a bounded number of finished ones included.
  std::size_t kept() const { return recent_.size() + stuck_.size(); }

 private:
  struct Record {
    std::int64_t offset;
    std::uint32_t holds;
    std::uint32_t bytes;
  };
  Record* Find(std::int64_t offset);
  void TrimFront();
  void Compact();

  // In order of offsets; those at the front that are finished are gone.
  std::deque<Record> recent_;
  // Older than every recent one: what did not finish while many after it did.
  absl::btree_map<std::int64_t, Record> stuck_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::int64_t next_ = 0;
};

}  // namespace rookery::sharding
