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
  /// `reading_pool`: for all but Claim and Save, which do not wait behind a search. With two connections or
  /// more, loading does not either.
  PgRoomStore(pg::Pool& pool, pg::Pool& reading_pool, const Clock& clock = Clock::System());
  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) override;
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override;
  Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override;
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override;
  Task<absl::StatusOr<std::vector<StoredRoom>>> Load(std::vector<std::string> rooms) override;
  Task<absl::Status> Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) override;
  Task<absl::Status> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override;
  Task<absl::StatusOr<RoomPage>> List(RoomQuery query) override;
  Task<absl::StatusOr<std::string>> Secret() override;
  Task<absl::StatusOr<std::int64_t>> CountOwned(std::string service, std::string bare) override;

 private:
  pg::Pool& pool_;
  pg::Pool& reading_pool_;
  pg::ShardClaims claims_;
  pg::ShardCursors cursors_;
  PgRoomList list_;
};

}  // namespace rookery::muc
