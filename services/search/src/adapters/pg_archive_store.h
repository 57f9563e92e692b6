#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "domain/archive_rules.h"
#include "ports/archive_store.h"
#include "rookery/pg/pool.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/pg/shard_cursors.h"

namespace rookery::search {

/// The archives in PostgreSQL (migrations/). Statements of one shard that change something run in the order
/// given. I/O thread only.
class PgArchiveStore final : public ArchiveStore {
 public:
  /// Both pools are made with PoolOptions. `reading_pool`: for questions, so that none holds up what is
  /// written. `period`: how long partitions are that are made from now on.
  PgArchiveStore(pg::Pool& pool, pg::Pool& reading_pool, ArchivePeriod period);

  /// Adds what the store's statements rely on: that their plans are made once and follow an index in its
  /// order, whatever the server believes of an archive whose size it does not know.
  static pg::Options PoolOptions(pg::Options options);

  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) override;
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override;
  Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override;
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override;
  Task<absl::StatusOr<std::vector<Appended>>> Append(std::uint32_t shard, std::int64_t epoch,
                                                     std::vector<ArchivedMessage> messages) override;
  Task<absl::StatusOr<std::vector<bool>>> Replace(std::uint32_t shard, std::int64_t epoch,
                                                  std::vector<Replacement> replacements) override;
  Task<absl::StatusOr<Erased>> Erase(std::uint32_t shard, std::int64_t epoch, Erasure erasure,
                                     std::int64_t from_position, std::size_t max_rows) override;
  Task<absl::Status> ForgetBefore(std::int64_t at_ms) override;
  Task<absl::Status> MakeSpace(std::int64_t from_ms, std::int64_t to_ms) override;
  Task<absl::StatusOr<OwnerPage>> FindOwners(std::string domain, std::string after, std::size_t max) override;
  Task<absl::StatusOr<ArchivePage>> FindPage(PageRequest request) override;
  Task<absl::StatusOr<BoundedCount>> Count(ArchiveFilter filter, std::size_t at_most) override;
  Task<absl::StatusOr<std::optional<ArchiveBounds>>> FindBounds(std::string owner, std::uint64_t generation,
                                                                std::int64_t first_position) override;
  Task<absl::StatusOr<bool>> Has(std::string owner, std::uint64_t generation, std::uint64_t id) override;

 private:
  using Rows = std::vector<const ArchivedMessage*>;

  /// Stores as many as the database takes; those that it refuses have the answer kRefused.
  Task<absl::StatusOr<std::vector<Appended>>> Store(std::uint32_t shard, std::int64_t epoch, Rows rows);
  Task<absl::StatusOr<std::vector<Appended>>> Insert(std::uint32_t shard, std::int64_t epoch,
                                                     const Rows& rows);
  /// Those of them whose message was there, and is changed.
  Task<absl::StatusOr<std::set<const Replacement*>>> Update(std::uint32_t shard, std::int64_t epoch,
                                                            std::vector<const Replacement*> rows);
  Task<absl::Status> MakePartitions(const Rows& rows);
  Task<absl::Status> MakePartition(TimeSpan span);

  pg::Pool& pool_;
  pg::Pool& reading_pool_;
  const ArchivePeriod period_;
  pg::ShardClaims claims_;
  pg::ShardCursors cursors_;
  /// When periods begin whose partitions are there, or were there and are not kept. Forgotten when it has
  /// many, and when a row finds no partition.
  std::set<std::int64_t> made_;
};

}  // namespace rookery::search
