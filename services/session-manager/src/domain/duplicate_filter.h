#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "rookery/base/clock.h"
#include "rookery/events/v1/user_record.pb.h"

namespace rookery::session_manager {

/// Once-only application of one shard's records, by where they come from (design,
/// "Once, from end to end"). The owner shows every record to it in order, those
/// before its cursor too, as far back as a repetition can lie.
class DuplicateFilter {
 public:
  enum class Verdict { kApply, kDuplicate, kStaleEpoch };

  /// Remembers the record's origin and says whether to apply it.
  Verdict Check(const events::v1::Origin& origin, SteadyTime now);
  /// An owner of `shard` with `epoch` exists.
  void SawEpoch(std::uint32_t shard, std::int64_t epoch);
  /// Forgets origins that have been silent since `before`.
  void Expire(SteadyTime before);
  std::size_t size() const { return clients_.size(); }

 private:
  struct Client {
    // Stanza number and part in one: both rise in the order appended.
    std::uint64_t highest = 0;
    SteadyTime last_seen;
  };
  struct Source {
    std::int64_t epoch = 0;
    // Records that follow from one shard's log, newest last. Their order in our shard is
    // not that of their offsets, since some need a database first.
    std::map<std::pair<std::int64_t, std::uint32_t>, SteadyTime> applied;
  };
  absl::flat_hash_map<std::string, Client> clients_;
  absl::flat_hash_map<std::uint32_t, Source> sources_;
};

}  // namespace rookery::session_manager
