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

std::vector<std::uint32_t> ShardTable::DropLink(LinkId link) {
  std::vector<std::uint32_t> dropped;
  for (std::uint32_t shard = 0; shard < shards_.size(); ++shard) {
    if (link == 0 || shards_[shard].owner != link) continue;
    shards_[shard].owner = 0;
    dropped.push_back(shard);
  }
  return dropped;
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
