#pragma once

#include <cstdint>
#include <vector>

namespace rookery::gateway {

/// The owner of each shard, as far as the links have said. The newest epoch wins; anything with an older one
/// is from a former owner that does not know yet that it has lost the shard.
class ShardTable {
 public:
  /// A link while it is up; 0 is none.
  using LinkId = std::uint32_t;

  /// The number of shards, once it is known.
  void Resize(std::uint32_t count) { shards_.resize(count); }
  std::uint32_t count() const { return static_cast<std::uint32_t>(shards_.size()); }

  /// `link` says that it owns `shard` since `epoch`. True when that is news: its
  /// sessions are to be attached there.
  bool Claim(std::uint32_t shard, std::int64_t epoch, LinkId link);
  /// The link is down: its shards, which are returned, have no owner until somebody claims them.
  std::vector<std::uint32_t> DropLink(LinkId link);
  /// `link` answered that it does not own `shard`.
  void Disown(std::uint32_t shard, LinkId link);

  LinkId OwnerOf(std::uint32_t shard) const { return shard < shards_.size() ? shards_[shard].owner : 0; }
  std::int64_t EpochOf(std::uint32_t shard) const {
    return shard < shards_.size() ? shards_[shard].epoch : -1;
  }
  /// Whether an action of `shard` with `epoch` is to be dropped.
  bool IsStale(std::uint32_t shard, std::int64_t epoch) const { return epoch < EpochOf(shard); }
  std::uint32_t owned() const;

 private:
  struct Shard {
    std::int64_t epoch = -1;
    LinkId owner = 0;
  };
  std::vector<Shard> shards_;
};

}  // namespace rookery::gateway
