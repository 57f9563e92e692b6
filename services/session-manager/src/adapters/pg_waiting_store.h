#pragma once

#include "ports/waiting_store.h"
#include "rookery/pg/pool.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/pg/shard_cursors.h"

namespace rookery::session_manager {

/// The waiting store in PostgreSQL (migrations/). Statements of one shard, and those of one user, run in
/// the order given, but for LoadPage, which sees what was answered before. I/O thread only.
class PgWaitingStore final : public WaitingStore {
 public:
  /// `loading_pool`: for LoadPage, behind which nothing else waits.
  PgWaitingStore(pg::Pool& pool, pg::Pool& loading_pool);
  Task<absl::StatusOr<std::vector<Stored>>> StoreOffline(const std::vector<OfflineWrite>& rows) override;
  Task<absl::Status> MarkGiven(const std::vector<RowKey>& rows) override;
  Task<absl::Status> PurgeGiven(const std::vector<std::string>& owners, std::chrono::milliseconds age,
                                std::uint64_t up_to) override;
  Task<absl::StatusOr<std::vector<OfflineMessage>>> LoadOffline(std::string owner, std::uint64_t after,
                                                                PageLimit limit) override;
  Task<absl::StatusOr<std::vector<std::string>>> OwnersWaiting(
      const std::vector<std::string>& owners) override;
  Task<absl::StatusOr<FoundRows>> LoadRows(const std::vector<RowKey>& keys, std::size_t bytes) override;
  Task<absl::Status> Claim(Writer writer) override;
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override;
  Task<absl::Status> KeepCursor(Writer writer, std::int64_t cursor) override;
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override;
  Task<absl::Status> StorePackets(Writer writer, const std::vector<PacketWrite>& packets) override;
  Task<absl::Status> RemovePackets(Writer writer, const std::vector<PacketsUpTo>& packets) override;
  Task<absl::Status> Park(Writer writer, const std::vector<ParkedSession>& sessions) override;
  Task<absl::Status> Unpark(Writer writer, const std::vector<SessionKey>& sessions) override;
  Task<absl::Status> RemoveSessions(Writer writer, const std::vector<SessionKey>& sessions) override;
  Task<absl::StatusOr<Page>> LoadPage(std::uint32_t shard, Place after, PageLimit limit) override;

 private:
  Task<absl::Status> Execute(std::uint64_t lane, const char* sql, std::vector<pg::Param> params);
  /// Changes a shard's rows, under the claim of their writer.
  Task<absl::Status> Change(Writer writer, std::uint64_t lane, const std::string& sql,
                            std::vector<pg::Param> params);

  pg::Pool& pool_;
  pg::Pool& loading_pool_;
  pg::ShardClaims claims_;
  pg::ShardCursors cursors_;
};

}  // namespace rookery::session_manager
