#include "domain/shard_table.h"

namespace rookery::gateway {

bool ShardTable::Claim(std::uint32_t shard, std::int64_t epoch, LinkId link) {
  if (shard >= shards_.size()) return false;
  Shard& known = shards_[shard];
  if (epoch < known.epoch) return false;
  if (epoch == known.epoch && known.owner == link) return false;
  known = {epoch, link};
  return true;
}

void ShardTable::DropLink(LinkId link) {
  for (Shard& shard : shards_) {
    if (shard.owner == link) shard.owner = 0;
  }
}

void ShardTable::Disown(std::uint32_t shard, LinkId link) {
  if (OwnerOf(shard) == link && link != 0) shards_[shard].owner = 0;
}

std::uint32_t ShardTable::owned() const {
  std::uint32_t count = 0;
  for (const Shard& shard : shards_) count += shard.owner != 0 ? 1 : 0;
  return count;
}

}  // namespace rookery::gateway
