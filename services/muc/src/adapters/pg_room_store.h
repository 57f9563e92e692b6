#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/pg_room_list.h"
#include "ports/room_store.h"
#include "rookery/base/clock.h"
#include "rookery/pg/pool.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/pg/shard_cursors.h"

namespace rookery::muc {

/// The store of rooms in PostgreSQL (migrations/). A Save is one statement. Saves of one room run in the
/// order given, and those given in one turn of the loop share a round trip. I/O thread only.
class PgRoomStore final : public RoomStore {
 public:
  /// `pool`: for what is changed; `reading_pool`: for what is loaded; `list_pool`: for lists, which may be
  /// slow (two connections: then those without words do not wait for searches).
  PgRoomStore(pg::Pool& pool, pg::Pool& reading_pool, pg::Pool& list_pool,
              const Clock& clock = Clock::System());
  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) override;
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override;
  Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override;
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override;
  Task<absl::StatusOr<Loaded>> Load(std::uint32_t shard, std::vector<std::string> rooms,
                                    std::size_t max_bytes) override;
  Task<absl::Status> Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) override;
  Task<absl::Status> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override;
  Task<absl::StatusOr<RoomPage>> List(RoomQuery query) override;
  Task<absl::StatusOr<std::string>> Secret() override;
  Task<absl::StatusOr<bool>> Reserve(std::string room, std::string creator, std::int64_t most) override;

 private:
  pg::Pool& pool_;
  pg::Pool& reading_pool_;
  pg::ShardClaims claims_;
  pg::ShardCursors cursors_;
  PgRoomList list_;
};

}  // namespace rookery::muc
