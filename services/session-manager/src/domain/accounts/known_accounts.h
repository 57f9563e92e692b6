#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "domain/accounts/credentials_version.h"
#include "domain/recent_map.h"
#include "ports/account_store.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class Addresses;
class Shards;

/// The account store, with a memory of whose credentials were looked up of late: a session begins a moment
/// after them, and must not cost another question. All that changes an account goes through the owner of
/// its shard, so an owner believes itself while it owns the shard without interruption. I/O thread only.
class KnownAccounts final : public AccountStore {
 public:
  KnownAccounts(AccountStore& store, const Addresses& addresses, const Shards& shards, const Clock& clock)
      : store_(store), addresses_(addresses), shards_(shards), clock_(clock) {}

  /// Returns what the account is now, where it is known without asking the store.
  std::optional<Standing> KnownStanding(const std::string& user);
  /// Returns what the account is now. Asks as Find does where that is not known, with its errors.
  Task<absl::StatusOr<Standing>> StandingNow(std::string user);

  Task<absl::StatusOr<Account>> Find(std::string user) override;
  Task<absl::StatusOr<Accounts>> FindAll(std::vector<std::string> users) override {
    return store_.FindAll(std::move(users));
  }
  Task<absl::Status> Create(std::string user, Account account,
                            std::chrono::milliseconds reuse_after) override {
    return store_.Create(std::move(user), std::move(account), reuse_after);
  }
  Task<absl::Status> SetKeys(std::string user, Account before, Keys keys) override;
  Task<absl::Status> Remove(std::string user, std::uint64_t generation) override;
  Task<absl::StatusOr<std::size_t>> ForgetRemoved(std::chrono::milliseconds age, std::size_t most) override {
    return store_.ForgetRemoved(age, most);
  }
  Task<absl::StatusOr<bool>> Exists(std::string user) override { return store_.Exists(std::move(user)); }
  Task<absl::Status> SetLastActivities(std::vector<UserActivity> activities) override {
    return store_.SetLastActivities(std::move(activities));
  }
  Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) override {
    return store_.GetLastActivity(std::move(user));
  }

 private:
  static constexpr std::size_t kMost = 20'000;
  /// A digest of the account's name, smaller than most names.
  using Name = std::array<std::uint64_t, 2>;
  struct Known {
    std::int64_t epoch;
    Standing standing;  // Of generation 0: it changes, so that an answer may be an old one
  };
  /// -1: the shard is not ours, or not live.
  std::int64_t EpochOf(const std::string& user) const;
  static Name NameOf(const std::string& user);
  void Learn(const std::string& user, std::int64_t epoch, const Standing& standing);
  void Distrust(const std::string& user);

  AccountStore& store_;
  const Addresses& addresses_;
  const Shards& shards_;
  const Clock& clock_;
  RecentMap<Name, Known> known_{kMost};
};

}  // namespace rookery::session_manager
