#include "rookery/sharding/applied_records.h"

#include <algorithm>
#include <bit>

namespace rookery::sharding {

// ---- one chunk ------------------------------------------------------------------

bool AppliedRecords::Chunk::Insert(std::uint16_t low) {
  if (is_bitmap()) {
    std::uint16_t& word = words_[low / 16];
    const auto bit = static_cast<std::uint16_t>(1u << (low % 16));
    if ((word & bit) != 0) return false;
    word |= bit;
    return true;
  }
  // They come nearly in order.
  auto at = words_.end();
  if (!words_.empty() && words_.back() >= low) at = std::lower_bound(words_.begin(), words_.end(), low);
  if (at != words_.end() && *at == low) return false;
  if (words_.size() + 1 < kBitmapWords) {
    words_.insert(at, low);
    return true;
  }
  MakeBitmap();
  return Insert(low);
}

void AppliedRecords::Chunk::MakeBitmap() {
  absl::InlinedVector<std::uint16_t, kInline> bitmap(kBitmapWords, 0);
  for (const std::uint16_t low : words_) bitmap[low / 16] |= static_cast<std::uint16_t>(1u << (low % 16));
  words_ = std::move(bitmap);
}

void AppliedRecords::Chunk::MakeArray() {
  absl::InlinedVector<std::uint16_t, kInline> array;
  array.reserve(size());
  for (std::size_t i = 0; i < kBitmapWords; ++i)
    for (std::uint32_t word = words_[i]; word != 0; word &= word - 1)
      array.push_back(static_cast<std::uint16_t>(i * 16 + static_cast<std::size_t>(std::countr_zero(word))));
  words_ = std::move(array);
}

std::size_t AppliedRecords::Chunk::Erase(std::uint32_t from, std::uint32_t to) {
  const std::size_t before = size();
  if (!is_bitmap()) {
    const auto first = std::lower_bound(words_.begin(), words_.end(), from);
    words_.erase(first, std::lower_bound(first, words_.end(), to));
    if (words_.size() * 2 < words_.capacity()) words_.shrink_to_fit();
    return before - words_.size();
  }
  for (std::uint32_t i = from / 16; i < kBitmapWords && i * 16 < to; ++i) {
    const std::uint32_t first = std::max(from, i * 16) - i * 16;
    const std::uint32_t last = std::min(to, (i + 1) * 16) - i * 16;
    words_[i] &= static_cast<std::uint16_t>(~((1u << last) - (1u << first)));
  }
  const std::size_t left = size();
  if (left * 2 < kBitmapWords) MakeArray();
  return before - left;
}

std::size_t AppliedRecords::Chunk::size() const {
  if (!is_bitmap()) return words_.size();
  std::size_t count = 0;
  for (const std::uint16_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

std::size_t AppliedRecords::Chunk::heap_bytes() const {
  return words_.capacity() > kInline ? words_.capacity() * sizeof(std::uint16_t) : 0;
}

// ---- all ------------------------------------------------------------------------

bool AppliedRecords::Insert(std::int64_t offset, std::uint32_t part) {
  Chunk& chunk = chunks_[{offset >> kChunkBits, part}];
  const std::size_t before = chunk.heap_bytes();
  if (!chunk.Insert(static_cast<std::uint16_t>(offset & (kChunk - 1)))) return false;
  heap_ = heap_ - before + chunk.heap_bytes();
  ++size_;
  return true;
}

void AppliedRecords::EraseBefore(std::int64_t offset) {
  Erase(chunks_.begin(), chunks_.lower_bound({offset >> kChunkBits, 0}));
  EraseWithin(offset, 0, static_cast<std::uint32_t>(offset & (kChunk - 1)));
}

void AppliedRecords::EraseFrom(std::int64_t offset) {
  EraseWithin(offset, static_cast<std::uint32_t>(offset & (kChunk - 1)), kChunk);
  Erase(chunks_.lower_bound({(offset >> kChunkBits) + 1, 0}), chunks_.end());
}

void AppliedRecords::Erase(Chunks::iterator first, Chunks::iterator last) {
  for (auto it = first; it != last; ++it) {
    size_ -= it->second.size();
    heap_ -= it->second.heap_bytes();
  }
  chunks_.erase(first, last);
}

void AppliedRecords::EraseWithin(std::int64_t offset, std::uint32_t from, std::uint32_t to) {
  const std::int64_t number = offset >> kChunkBits;
  for (auto it = chunks_.lower_bound({number, 0}); it != chunks_.end() && it->first.first == number;) {
    Chunk& chunk = it->second;
    heap_ -= chunk.heap_bytes();
    size_ -= chunk.Erase(from, to);
    heap_ += chunk.heap_bytes();
    it = chunk.is_empty() ? chunks_.erase(it) : std::next(it);
  }
}

}  // namespace rookery::sharding
