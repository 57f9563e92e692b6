#pragma once

#include "ports/roster_store.h"
#include "rookery/pg/pool.h"

namespace rookery::roster {

/// Each change is one statement, which touches one owner only. Changes of one owner
/// share a lane, so that they are made in the order given.
class PgRosterStore final : public RosterStore {
 public:
  explicit PgRosterStore(pg::Pool& pool) : pool_(pool) {}
  Task<absl::StatusOr<StoredRoster>> Load(std::string owner) override;
  Task<absl::StatusOr<std::optional<Contact>>> Find(std::string owner, std::string jid) override;
  Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) override;
  Task<absl::StatusOr<Counts>> Count(std::string owner) override;
  Task<absl::StatusOr<std::uint64_t>> Save(std::string owner, Contact contact, bool is_visible) override;
  Task<absl::StatusOr<std::uint64_t>> Remove(std::string owner, std::string jid, std::int64_t revision,
                                             bool is_visible) override;
  Task<absl::Status> RemoveAll(std::string owner) override;

 private:
  pg::Pool& pool_;
};

}  // namespace rookery::roster
