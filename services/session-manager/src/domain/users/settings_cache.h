#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "domain/state/user.h"
#include "domain/users/address_set.h"
#include "rookery/base/string_hash.h"
#include "rookery/roster/v1/roster_service.pb.h"

namespace rookery::session_manager {

/// The settings that a user has made.
struct UserSettings {
  UserSettings() = default;
  UserSettings(roster::v1::UserSettings settings, bool known)
      : made(std::move(settings)), is_known(known), blocked(made.blocked()) {}
  UserSettings(const UserSettings&) = delete;
  UserSettings& operator=(const UserSettings&) = delete;

  const roster::v1::UserSettings made;
  /// False: no roster service has answered. Then nothing is set.
  const bool is_known = true;
  /// Those of `made`.
  const AddressSet blocked;
};

/// The settings of users who are not in memory any more: the newest 100,000, of 32 MiB at most. I/O thread
/// only.
class SettingsCache {
 public:
  static constexpr std::size_t kMaxCached = 100'000;
  static constexpr std::size_t kMaxCachedBytes = 32 * 1024 * 1024;

  /// Null: not known. It is only as long as the user's shard is ours under the same epoch: under any
  /// other it may be out of date.
  std::shared_ptr<const UserSettings> Find(std::string_view bare, std::int64_t epoch);
  /// The user's entry is about to be dropped: what is known of the settings stays for a while.
  void Remember(const User& user);

  /// It may have changed.
  void Forget(const std::string& bare);

  std::size_t size() const { return order_.size(); }

 private:
  struct Cached {
    std::string bare;
    /// The epoch of the shard under which it was learnt.
    std::int64_t epoch = -1;
    std::shared_ptr<const UserSettings> settings;
    std::size_t bytes = 0;
  };
  using Place = std::list<Cached>::iterator;
  void Erase(std::unordered_map<std::string, Place, StringHash, std::equal_to<>>::iterator cached);

  /// The one used last first.
  std::list<Cached> order_;
  std::unordered_map<std::string, Place, StringHash, std::equal_to<>> cached_;
  std::size_t bytes_ = 0;
};

}  // namespace rookery::session_manager
