#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
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
  struct Account {
    Keys keys;
    /// Tells the accounts apart that have had one name; 0: there is none.
    std::uint64_t generation = 0;
    bool exists() const { return generation != 0; }
  };
  /// DATA_LOSS: there is one, but its keys cannot be read.
  virtual Task<absl::StatusOr<Account>> Find(std::string user) = 0;
  /// By user.
  using Accounts = std::vector<std::pair<std::string, absl::StatusOr<Account>>>;
  /// Those that exist, each as Find says it. Any other error may be that of one of them.
  virtual Task<absl::StatusOr<Accounts>> FindAll(std::vector<std::string> users) = 0;
  /// ALREADY_EXISTS: so does the name of an account that was removed less than `reuse_after` ago.
  virtual Task<absl::Status> Create(std::string user, Account account,
                                    std::chrono::milliseconds reuse_after) = 0;
  /// ABORTED: the account is not `before` any more, and nothing was changed.
  virtual Task<absl::Status> SetKeys(std::string user, Account before, Keys keys) = 0;
  /// Removes the account of that generation and every row that session-managers keep of it, but nothing of
  /// another account that has the name. Repeatable.
  virtual Task<absl::Status> Remove(std::string user, std::uint64_t generation) = 0;
  /// That an account was removed is remembered for the sake of Create, and for nothing else: a removal that
  /// is done again finds no account, and remembers nothing. So whoever was removed longer ago than a name is
  /// kept can be forgotten. Forgets at most so many of those that were removed more than `age` ago, the
  /// oldest first, and says how many.
  virtual Task<absl::StatusOr<std::size_t>> ForgetRemoved(std::chrono::milliseconds age,
                                                          std::size_t most) = 0;
  virtual Task<absl::StatusOr<bool>> Exists(std::string user) = 0;

  /// XEP-0012: when the last session ended and with what status.
  struct LastActivity {
    std::int64_t unix_millis = 0;
    std::string status;
    bool operator==(const LastActivity&) const = default;
  };
  /// It is the account's of that generation, and no other's; 0: that of whichever there is.
  struct UserActivity {
    std::string user;
    std::uint64_t generation = 0;
    LastActivity last;
    bool operator==(const UserActivity&) const = default;
  };
  /// Sets it for all of these users, each of whom is named once; where the store has a newer one, that one
  /// stays. All of it or nothing.
  virtual Task<absl::Status> SetLastActivities(std::vector<UserActivity> activities) = 0;
  virtual Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) = 0;
};

/// SCRAM-SHA-1 and SCRAM-SHA-256 keys of a password, each with a fresh salt. Costs
/// milliseconds: runs on the blocking pool. INVALID_ARGUMENT: PRECIS forbids the password.
class KeyMaker {
 public:
  virtual ~KeyMaker() = default;
  virtual Task<absl::StatusOr<AccountStore::Keys>> Derive(std::string password) = 0;
  /// Whether they are keys of that password.
  virtual Task<absl::StatusOr<bool>> Matches(std::string password, AccountStore::Keys keys) = 0;
};

}  // namespace rookery::session_manager
