#pragma once

#include "ports/roster_store.h"
#include "rookery/pg/pool.h"

namespace rookery::roster {

class PgRosterStore final : public RosterStore {
 public:
  explicit PgRosterStore(pg::Pool& pool) : pool_(pool) {}
  Task<absl::StatusOr<StoredRoster>> Load(std::string owner) override;
  Task<absl::StatusOr<std::optional<Contact>>> Find(std::string owner, std::string jid) override;
  Task<absl::StatusOr<std::uint64_t>> Version(std::string owner) override;
  Task<absl::StatusOr<Counts>> Count(std::string owner) override;
  Task<absl::StatusOr<std::uint64_t>> Save(std::string owner, Contact contact) override;
  Task<absl::StatusOr<std::uint64_t>> Remove(std::string owner, std::string jid, std::int64_t revision) override;
  Task<absl::Status> RemoveAll(std::string owner) override;

 private:
  pg::Pool& pool_;
};

}  // namespace rookery::roster
