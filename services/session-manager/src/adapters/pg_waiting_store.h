#pragma once

#include "ports/waiting_store.h"
#include "rookery/pg/pool.h"

namespace rookery::session_manager {

class PgWaitingStore final : public WaitingStore {
 public:
  explicit PgWaitingStore(pg::Pool& pool) : pool_(pool) {}
  Task<absl::StatusOr<Stored>> StoreOffline(std::string owner, OfflineMessage message,
                                            std::int64_t quota) override;
  Task<absl::StatusOr<std::vector<OfflineMessage>>> LoadOffline(std::string owner, std::uint64_t after,
                                                                std::int64_t limit) override;
  Task<absl::StatusOr<std::vector<std::string>>> OwnersWaiting(std::vector<std::string> owners) override;
  Task<absl::StatusOr<std::vector<std::pair<std::string, OfflineMessage>>>> LoadRows(
      std::vector<RowKey> keys) override;
  Task<absl::Status> MarkOfflineGiven(std::string owner, std::vector<std::uint64_t> ids) override;
  Task<absl::Status> PurgeOfflineGiven(std::string owner, std::int64_t before_ms) override;
  Task<absl::Status> StorePackets(std::uint32_t shard, std::string owner, std::string session,
                                  std::vector<SessionPacket> packets) override;
  Task<absl::Status> RemovePackets(std::string owner, std::string session, std::uint64_t up_to_seq) override;
  Task<absl::Status> Park(std::uint32_t shard, ParkedSession session) override;
  Task<absl::Status> Unpark(std::string owner, std::string session) override;
  Task<absl::Status> RemoveSession(std::string owner, std::string session) override;
  Task<absl::StatusOr<Shard>> LoadShard(std::uint32_t shard) override;

 private:
  pg::Pool& pool_;
};

}  // namespace rookery::session_manager
