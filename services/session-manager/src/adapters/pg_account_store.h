#pragma once

#include "ports/account_store.h"
#include "rookery/pg/pool.h"

namespace rookery::session_manager {

class PgAccountStore final : public AccountStore {
 public:
  explicit PgAccountStore(pg::Pool& pool) : pool_(pool) {}
  Task<absl::StatusOr<Account>> Find(std::string user) override;
  Task<absl::StatusOr<Accounts>> FindAll(std::vector<std::string> users) override;
  Task<absl::Status> Create(std::string user, Account account,
                            std::chrono::milliseconds reuse_after) override;
  Task<absl::Status> SetKeys(std::string user, Account before, Keys keys) override;
  Task<absl::Status> Remove(std::string user, std::uint64_t generation) override;
  Task<absl::StatusOr<std::size_t>> ForgetRemoved(std::chrono::milliseconds age, std::size_t most) override;
  Task<absl::StatusOr<bool>> Exists(std::string user) override;
  Task<absl::Status> SetLastActivities(std::vector<UserActivity> activities) override;
  Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) override;

 private:
  pg::Pool& pool_;
};

}  // namespace rookery::session_manager
