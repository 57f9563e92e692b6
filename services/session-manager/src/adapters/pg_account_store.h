#pragma once

#include "ports/account_store.h"
#include "rookery/pg/pool.h"

namespace rookery::session_manager {

class PgAccountStore final : public AccountStore {
 public:
  explicit PgAccountStore(pg::Pool& pool) : pool_(pool) {}
  Task<absl::StatusOr<Keys>> GetKeys(std::string user) override;
  Task<absl::Status> Create(std::string user, Keys keys) override;
  Task<absl::Status> SetKeys(std::string user, Keys keys) override;
  Task<absl::Status> Remove(std::string user) override;
  Task<absl::StatusOr<bool>> Exists(std::string user) override;
  Task<absl::Status> SetLastActivity(std::string user, LastActivity last) override;
  Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) override;

 private:
  pg::Pool& pool_;
};

}  // namespace rookery::session_manager
