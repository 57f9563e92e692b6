#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "domain/sessions/user.h"
#include "rookery/base/clock.h"
#include "rookery/roster/v1/roster_service.pb.h"

namespace rookery::session_manager {

class Core;

/// What a user has set.
struct UserSettings {
  roster::v1::UserSettings made;
  /// False: no roster service has answered. Then nothing is set.
  bool is_known = true;
};

/// Knows what the users of our shards have set, those who are away too. A user with sessions keeps
/// it; of the others the ones used last are remembered. Only the owner of the user's shard acts on
/// it, and each change is a record there, so what is known is true.
///
/// While no roster service answers nobody waits for it for longer than kPatience, and nearly everybody
/// not at all; that one answer does not come says nothing as long as others do. Users whose settings are not known are taken for users who have set nothing.
class SettingsKeeper {
 public:
  static constexpr std::size_t kMaxCached = 100'000;
  static constexpr std::size_t kMaxCachedBytes = 32 * 1024 * 1024;
  static constexpr std::chrono::milliseconds kPatience{1'000};
  /// After a failure nobody waits for so long.
  static constexpr std::chrono::milliseconds kAwayFor{2'000};

  explicit SettingsKeeper(Core& core) : core_(core) {}

  /// Whether user.settings is set, now or from what is remembered. False: it is being loaded, and
  /// RecordOrder::Go and ClientStanzaProcessor::Go follow.
  bool Know(User& user) {
    if (user.settings_awaited) return false;
    return (user.settings != nullptr && user.settings->is_known) || Look(user);
  }
  /// Whether records of the shard wait for settings of their users; and until those that wait now do not.
  static bool IsAwaited(const Shard& shard);
  Task<void> AwaitAll(std::shared_ptr<Shard> shard);
  /// What has come with the roster, or is the outcome of a change.
  void Put(User& user, roster::v1::UserSettings made);
  /// They may have changed: asked for again when they are needed next.
  void Doubt(User& user);
  /// For who must not take unknown settings for none. UNAVAILABLE, DEADLINE_EXCEEDED.
  Task<absl::StatusOr<std::shared_ptr<const UserSettings>>> Require(std::shared_ptr<Shard> shard,
                                                                    std::string bare, std::uint64_t trace_id);

  /// The user's entry is about to be dropped: what is known of the settings stays for a while.
  void Remember(const User& user);

  std::size_t cached() const { return order_.size(); }

 private:
  struct Cached {
    std::string bare;
    /// Of the shard under which it was learnt: under any other it may be out of date.
    std::int64_t epoch = -1;
    std::shared_ptr<const UserSettings> settings;
    std::size_t bytes = 0;
  };
  bool Look(User& user);
  void DropCached(const std::string& bare);
  void StartLoading(User& user);
  Task<void> Load(std::shared_ptr<Shard> shard, std::string bare);
  Task<void> GiveUpWaiting(std::shared_ptr<Shard> shard, std::string bare);
  void Resolve(Shard& shard, const std::string& bare, std::shared_ptr<const UserSettings> settings);

  Core& core_;
  /// Nothing has been heard of the roster service since `asked`.
  void NoteSilence(SteadyTime asked);

  SteadyTime away_until_ = SteadyTime::min();
  SteadyTime answered_at_ = SteadyTime::min();
  /// The one used last first.
  std::list<Cached> order_;
  std::unordered_map<std::string, std::list<Cached>::iterator, StringHash, std::equal_to<>> cached_;
  std::size_t bytes_ = 0;
};

}  // namespace rookery::session_manager
