#include "rookery/testing/memory_claims.h"

#include <algorithm>

namespace rookery::testing {

std::optional<std::int64_t> MemoryClaims::Claim(std::uint32_t shard, std::int64_t epoch, std::int64_t above) {
  Row& row = rows[shard];
  if (row.epoch > epoch) return std::nullopt;
  row = {epoch, std::max(row.turn, above) + 1};
  return row.turn;
}

bool MemoryClaims::Stands(std::uint32_t shard, std::int64_t epoch, std::int64_t turn) const {
  const auto row = rows.find(shard);
  return row != rows.end() && row->second.epoch == epoch && row->second.turn == turn;
}

std::int64_t MemoryClaims::ClaimedBy(std::uint32_t shard) const {
  const auto row = rows.find(shard);
  return row == rows.end() ? -1 : row->second.epoch;
}

void MemoryCursors::Keep(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) {
  Row& row = rows[shard];
  if (row.epoch <= epoch) row = {epoch, cursor};
}

std::int64_t MemoryCursors::Find(std::uint32_t shard) const {
  const auto row = rows.find(shard);
  return row == rows.end() ? -1 : row->second.cursor;
}

}  // namespace rookery::testing
