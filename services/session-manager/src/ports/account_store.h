#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

/// Accounts and their SCRAM keys. `user` is a bare JID. Every method: UNAVAILABLE or
/// DEADLINE_EXCEEDED when the store is away.
class AccountStore {
 public:
  virtual ~AccountStore() = default;
  using Keys = std::vector<session::v1::ScramKey>;
  /// Empty for an unknown user.
  virtual Task<absl::StatusOr<Keys>> GetKeys(std::string user) = 0;
  /// ALREADY_EXISTS.
  virtual Task<absl::Status> Create(std::string user, Keys keys) = 0;
  /// NOT_FOUND.
  virtual Task<absl::Status> SetKeys(std::string user, Keys keys) = 0;
  /// Removes the account and every row that session-managers keep of it. Repeatable.
  virtual Task<absl::Status> Remove(std::string user) = 0;
  virtual Task<absl::StatusOr<bool>> Exists(std::string user) = 0;

  /// XEP-0012: when the last session ended and with what status.
  struct LastActivity {
    std::int64_t unix_millis;
    std::string status;
  };
  virtual Task<absl::Status> SetLastActivity(std::string user, LastActivity last) = 0;
  virtual Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) = 0;
};

/// SCRAM-SHA-1 and SCRAM-SHA-256 keys of a password, each with a fresh salt. Costs
/// milliseconds: runs on the blocking pool. INVALID_ARGUMENT: PRECIS forbids the password.
class KeyMaker {
 public:
  virtual ~KeyMaker() = default;
  virtual Task<absl::StatusOr<AccountStore::Keys>> Derive(std::string password) = 0;
};

}  // namespace rookery::session_manager
