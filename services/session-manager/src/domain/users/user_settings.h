#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/features/feature_hooks.h"
#include "domain/state/user.h"
#include "domain/users/settings_cache.h"
#include "ports/roster.h"
#include "rookery/base/clock.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

struct Shard;
class Shards;
class Users;
struct SessionManagerMetrics;

/// Knows what the users of our shards have set, those who are away too. A user with sessions keeps
/// it; of the others the ones used last are remembered. Only the owner of the user's shard acts on
/// it, and each change is a record there, so what is known is true.
///
/// While no roster service answers nobody waits for it for longer than kPatience, and nearly everybody
/// not at all; that one answer does not come says nothing as long as others do. Users whose settings are
/// not known are taken for users who have set nothing.
class SettingsKeeper final : public LifeHook {
 public:
  static constexpr std::chrono::milliseconds kPatience{1'000};
  /// After a failure nobody waits for so long.
  static constexpr std::chrono::milliseconds kAwayFor{2'000};

  /// Told that what had to wait for a user's settings need not wait any more.
  class Listener {
   public:
    virtual void OnSettingsKnown(Shard& shard, const std::string& bare) = 0;

   protected:
    ~Listener() = default;
  };

  SettingsKeeper(asio::any_io_executor executor, const Clock& clock, SessionManagerMetrics& metrics,
                 const Shards& shards, Users& users, SettingsCache& cache, Roster& roster)
      : executor_(std::move(executor)),
        clock_(clock),
        metrics_(metrics),
        shards_(shards),
        users_(users),
        cache_(cache),
        roster_(roster) {}
  /// In the order in which they are told.
  void AddListener(Listener& listener) { listeners_.push_back(&listener); }
  bool is_wired() const { return !listeners_.empty(); }

  /// Whether user.settings is set, now or from what is remembered. False: it is being loaded, and the
  /// listeners are told.
  bool Know(User& user) {
    if (user.settings_awaited) return false;
    return (user.settings != nullptr && user.settings->is_known) || Look(user);
  }
  /// Whether no records of the shard wait for settings of their users; and until those that wait now do not.
  bool IsSettled(const Shard& shard) const override;
  Task<void> Settle(std::shared_ptr<Shard> shard) override;
  /// Puts what has come with the roster, or is the outcome of a change.
  void Put(User& user, roster::v1::UserSettings made);
  /// They may have changed: asked for again when they are needed next.
  void Doubt(User& user);
  /// Whoever has the name next is asked about.
  void OnAccountRemoved(User& user) override;
  /// For who must not take unknown settings for none. UNAVAILABLE, DEADLINE_EXCEEDED.
  Task<absl::StatusOr<std::shared_ptr<const UserSettings>>> Require(std::shared_ptr<Shard> shard,
                                                                    std::string bare, std::uint64_t trace_id);

 private:
  bool Look(User& user);
  void StartLoading(User& user);
  Task<void> Load(std::shared_ptr<Shard> shard, std::string bare);
  Task<void> GiveUpWaiting(std::shared_ptr<Shard> shard, std::string bare);
  void Resolve(Shard& shard, const std::string& bare, std::shared_ptr<const UserSettings> settings);
  /// Nothing has been heard of the roster service since `asked`.
  void NoteSilence(SteadyTime asked);

  asio::any_io_executor executor_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Shards& shards_;
  Users& users_;
  SettingsCache& cache_;
  Roster& roster_;
  std::vector<Listener*> listeners_;
  SteadyTime away_until_ = SteadyTime::min();
  SteadyTime answered_at_ = SteadyTime::min();
};

}  // namespace rookery::session_manager
