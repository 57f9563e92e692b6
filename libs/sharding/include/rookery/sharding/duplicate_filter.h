#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "rookery/events/v1/origin.pb.h"
#include "rookery/sharding/applied_records.h"

namespace rookery::sharding {

/// Once-only application of one shard's records, by where they come from. The owner shows every
/// record to it in order, those before its cursor too, as far back as a repetition can lie
/// (`horizon`). It counts time by the records' timestamps, so that every owner who reads the same
/// records remembers the same, and no more than a quarter of the horizon from one record to the next: while
/// the log stood still, perhaps nobody could say again what it had under way.
///
/// It remembers what may be said again: the stanzas of a client's session after the last that its gateway has
/// seen confirmed (see kMostHorizons), and what follows from the records of a source shard at and
/// after its cursor. Neither grows with what was said before. Both are known one by one, since either may
/// come behind what is newer: the log refuses a stanza and takes the one after it, the owner dies before the
/// gateway has heard of it, and the next owner says both. While a source's cursor stands still, what follows
/// from it adds up; its owner bounds that (OwnerOptions::max_follow_ups). No more than kMostOfAClient of a
/// session are known one by one, and the lowest go first: a gateway has fewer under way.
class DuplicateFilter {
 public:
  static constexpr std::size_t kMostOfAClient = 1024;
  /// A session that says nothing is remembered for half as many horizons at least, and for so many at most.
  static constexpr int kMostHorizons = 8;
  /// From one record to the next at most the horizon divided by this counts as passed.
  static constexpr int kSlices = 4;

  enum class Verdict {
    kApply,
    kDuplicate,
    /// Said by a former owner, which does not know yet that its successor has taken over.
    kStaleEpoch,
  };

  explicit DuplicateFilter(std::chrono::milliseconds horizon) : horizon_ms_(horizon.count()) {}

  /// Remembers the record's origin and says whether to apply the record.
  Verdict Check(const events::v1::Origin& origin, std::int64_t timestamp_ms);
  /// The owner of the shard itself, read from the fence in its own partition.
  void SawFence(events::v1::Topic topic, std::uint32_t shard, std::int64_t epoch, std::int64_t timestamp_ms);

  std::size_t clients() const { return recent_.size() + older_.size(); }
  /// Records that follow from others and may be said again.
  std::size_t remembered() const;
  /// Bytes of memory for those, about.
  std::size_t remembered_bytes() const;

 private:
  /// Records of one session by number: the count, and the part in the low 16 bits.
  struct Client {
    // None up to this one is said again.
    std::uint64_t settled = 0;
    // Those beyond it that were applied, rising.
    absl::InlinedVector<std::uint64_t, 2> applied;
  };
  using Clients = absl::flat_hash_map<std::string, Client>;
  struct Source {
    std::int64_t epoch = -1;
    std::int64_t epoch_since_ms = 0;
    std::int64_t log_since = 0;
    std::int64_t cursor = 0;
    AppliedRecords applied;
  };

  Source& SourceOf(events::v1::Topic topic, std::uint32_t shard);
  bool IsStale(const Source& source, std::int64_t epoch) const;
  Verdict CheckClient(const events::v1::ClientOrigin& origin);
  Client& ClientOf(const std::string& session);
  void NoteEpoch(Source& source, const events::v1::Origin& origin);
  void PassTime(std::int64_t timestamp_ms);

  const std::int64_t horizon_ms_;
  std::int64_t now_ms_ = 0;
  std::int64_t turned_ms_ = 0;
  // By session. Those silent since `turned_ms_` are in `older_`, and are forgotten when the two turn again.
  Clients recent_, older_;
  absl::flat_hash_map<std::pair<int, std::uint32_t>, Source> sources_;
};

}  // namespace rookery::sharding
