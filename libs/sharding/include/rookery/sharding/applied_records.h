#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"

namespace rookery::sharding {

/// The records that have been applied, of those that follow from the records of one source shard: a set of
/// (offset, part). Whatever follows from a record is counted from 1; where it has several recipients, or
/// leads to things of several kinds, each has numbers of its own, 65,536 apart.
///
/// While the source's cursor stands still this is what grows, so a member costs little: two to four bytes
/// where few offsets of a chunk are there, down to one bit where many are; and 40 bytes for each chunk and
/// part of which there is any. Most of what there is has the same part, of many records.
class AppliedRecords {
 public:
  /// False: it was there.
  bool Insert(std::int64_t offset, std::uint32_t part);
  void EraseBefore(std::int64_t offset);
  void EraseFrom(std::int64_t offset);

  std::size_t size() const { return size_; }
  /// Bytes of memory, about.
  std::size_t bytes() const { return chunks_.size() * sizeof(std::pair<Key, Chunk>) + heap_; }

 private:
  /// The low bits of the offsets of one chunk: sorted, or, once they would take as much room, a bitmap.
  class Chunk {
   public:
    bool Insert(std::uint16_t low);
    /// Those from `from` to before `to`; returns how many there were.
    std::size_t Erase(std::uint32_t from, std::uint32_t to);
    std::size_t size() const;
    bool is_empty() const { return words_.empty(); }
    std::size_t heap_bytes() const;

   private:
    static constexpr std::size_t kInline = 8;
    static constexpr std::size_t kBitmapWords = (std::size_t{1} << 16) / 16;
    bool is_bitmap() const { return words_.size() == kBitmapWords; }
    void MakeBitmap();
    void MakeArray();
    absl::InlinedVector<std::uint16_t, kInline> words_;
  };
  static constexpr int kChunkBits = 16;
  static constexpr std::uint32_t kChunk = 1 << kChunkBits;
  /// Chunk and part.
  using Key = std::pair<std::int64_t, std::uint32_t>;
  using Chunks = absl::btree_map<Key, Chunk>;

  void Erase(Chunks::iterator first, Chunks::iterator last);
  /// Within the chunk of `offset`.
  void EraseWithin(std::int64_t offset, std::uint32_t from, std::uint32_t to);

  Chunks chunks_;
  std::size_t size_ = 0;
  std::size_t heap_ = 0;
};

}  // namespace rookery::sharding
