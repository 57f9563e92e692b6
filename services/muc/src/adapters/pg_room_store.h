#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/pg_room_list.h"
#include "ports/room_store.h"
#include "rookery/base/clock.h"
#include "rookery/pg/pool.h"
#include "rookery/runtime/event.h"

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
  Task<absl::StatusOr<Loaded>> Load(std::uint32_t shard, std::vector<std::string> rooms,
                                    std::size_t max_bytes) override;
  Task<absl::Status> Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) override;
  Task<absl::Status> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override;
  Task<absl::StatusOr<RoomPage>> List(RoomQuery query) override;
  Task<absl::StatusOr<std::string>> Secret() override;
  Task<absl::StatusOr<bool>> Reserve(std::string room, std::string creator, std::int64_t most) override;

 private:
  /// Under what this process changes a shard's rooms. A Save that was not answered may still be done: before
  /// the next one the shard is claimed again, for another turn, in which it changes nothing any more.
  struct Held {
    std::int64_t epoch = -1;
    std::int64_t turn = -1;
    bool is_in_doubt = false;
    /// While it is claimed again.
    std::shared_ptr<runtime::Event> renewal;
  };
  Task<absl::Status> MakeSure(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch);
  Task<absl::Status> Renew(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch);

  pg::Pool& pool_;
  pg::Pool& reading_pool_;
  PgRoomList list_;
  std::map<std::uint32_t, std::shared_ptr<Held>> held_;
};

}  // namespace rookery::muc
