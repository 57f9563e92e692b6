#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace rookery::testing {

/// A table of claims in memory, for stores in memory that hold their claims as those in PostgreSQL do
/// (pg::HeldClaims). Open: tests look into it and change it.
struct MemoryClaims {
  struct Row {
    std::int64_t epoch = -1;
    std::int64_t turn = 0;
  };
  std::map<std::uint32_t, Row> rows;

  /// The new turn; nothing: a newer owner has claimed the shard.
  std::optional<std::int64_t> Claim(std::uint32_t shard, std::int64_t epoch, std::int64_t above);
  bool Stands(std::uint32_t shard, std::int64_t epoch, std::int64_t turn) const;
  /// -1: nobody has claimed it.
  std::int64_t ClaimedBy(std::uint32_t shard) const;
};

/// The same for cursors (pg::ShardCursors).
struct MemoryCursors {
  struct Row {
    std::int64_t epoch = -1;
    std::int64_t cursor = -1;
  };
  std::map<std::uint32_t, Row> rows;

  void Keep(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor);
  /// -1: nobody has said it.
  std::int64_t Find(std::uint32_t shard) const;
};

}  // namespace rookery::testing
