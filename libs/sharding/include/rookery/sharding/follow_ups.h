#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/btree_map.h"

namespace rookery::sharding {

/// How many records a new owner of the shard would have to repeat: those that follow from the shard's
/// records at and after the committed cursor. Their readers remember each of them until the cursor has
/// passed (DuplicateFilter), so that this is what the shard costs them.
///
/// Counts those of 1,024 neighbouring offsets together: while the cursor is among these, all of them count.
class FollowUps {
 public:
  /// A record was said that follows from the one at `offset`.
  void Note(std::int64_t offset);
  void Committed(std::int64_t cursor);
  std::size_t count() const { return count_; }

 private:
  static constexpr int kGroupBits = 10;
  absl::btree_map<std::int64_t, std::size_t> groups_;
  std::int64_t newest_ = -1;
  std::size_t count_ = 0;
};

}  // namespace rookery::sharding
