#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "domain/state/shard.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

/// The shards of users that are ours at present, as their owner knows them. I/O thread only.
class Shards {
 public:
  explicit Shards(const sharding::ShardOwner& owner) : owner_(owner) {}

  /// Null unless the shard is ours.
  Shard* Find(std::uint32_t number) const { return static_cast<Shard*>(owner_.Find(number)); }
  /// As Find, for a coroutine that keeps the shard while it waits, although it may be released meanwhile.
  std::shared_ptr<Shard> Shared(std::uint32_t number) const {
    return std::static_pointer_cast<Shard>(owner_.Shared(number));
  }
  std::vector<std::shared_ptr<Shard>> All() const {
    std::vector<std::shared_ptr<Shard>> all;
    all.reserve(owner_.owned());
    for (const auto& [number, shard] : owner_.shards()) all.push_back(std::static_pointer_cast<Shard>(shard));
    return all;
  }

 private:
  const sharding::ShardOwner& owner_;
};

}  // namespace rookery::session_manager
