#include "domain/users/user_settings.h"

#include <algorithm>
#include <utility>

#include "domain/metrics.h"
#include "domain/state/shards.h"
#include "domain/users/users.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

const std::shared_ptr<const UserSettings>& Unknown() {
  static const auto unknown = std::make_shared<const UserSettings>(roster::v1::UserSettings(), false);
  return unknown;
}

/// Tells a shard that is not live yet that settings of a user have come, or are waited for no more.
struct SettingsKnown {
  std::shared_ptr<runtime::Event> event;
};

/// Most users have set nothing, and share that.
std::shared_ptr<const UserSettings> Make(roster::v1::UserSettings made) {
  static const auto nothing = std::make_shared<const UserSettings>();
  if (made.ByteSizeLong() == 0) return nothing;
  return std::make_shared<const UserSettings>(std::move(made), true);
}

}  // namespace

bool SettingsKeeper::Look(User& user) {
  if (auto cached = cache_.Find(user.bare, user.shard->epoch)) {
    user.settings = std::move(cached);
    return true;
  }
  const bool is_away = clock_.Now() < away_until_;
  if (user.settings != nullptr) {
    // Not known last time: asked for again, while life goes on.
    if (!is_away && !user.settings_loading) StartLoading(user);
    return true;
  }
  if (is_away) {
    metrics_.settings_unknown.Increment();
    user.settings = Unknown();
    return true;
  }
  user.settings_awaited = true;
  if (!user.settings_loading) StartLoading(user);
  user.shard->Spawn("settings.patience", GiveUpWaiting(shards_.Shared(user.shard->number), user.bare));
  return false;
}

void SettingsKeeper::StartLoading(User& user) {
  user.settings_loading = true;
  user.shard->SpawnVital("settings.load", Load(shards_.Shared(user.shard->number), user.bare));
}

Task<void> SettingsKeeper::Load(std::shared_ptr<Shard> shard, std::string bare) {
  // Never within the call that asks: where no roster service is known there is an answer at once, after
  // which the user may be forgotten.
  co_await runtime::Yield();
  const SteadyTime asked = clock_.Now();
  roster::v1::GetUserSettingsRequest request;
  request.set_user(bare);
  auto response = co_await roster_.GetUserSettings(std::move(request), /*trace_id=*/0);
  if (response.ok()) answered_at_ = clock_.Now();
  if (!response.ok()) {
    telemetry::LogDebug("settings.away", {{"error", Message(response.status())}});
    NoteSilence(asked);
    Resolve(*shard, bare, Unknown());
    co_return;
  }
  Resolve(*shard, bare, Make(std::move(*response->mutable_settings())));
}

Task<void> SettingsKeeper::GiveUpWaiting(std::shared_ptr<Shard> shard, std::string bare) {
  const SteadyTime asked = clock_.Now();
  co_await runtime::Sleep(kPatience);
  const User* user = shard->FindUser(bare);
  if (user == nullptr || !user->settings_awaited) co_return;
  NoteSilence(asked);
  Resolve(*shard, bare, Unknown());
}

void SettingsKeeper::NoteSilence(SteadyTime asked) {
  if (answered_at_ < asked) away_until_ = clock_.Now() + kAwayFor;
}

bool SettingsKeeper::IsSettled(const Shard& shard) const {
  return std::none_of(shard.users.begin(), shard.users.end(), [](const auto& entry) {
    return entry.second->settings_awaited && entry.second->backlog;
  });
}

Task<void> SettingsKeeper::Settle(std::shared_ptr<Shard> shard) {
  std::vector<std::string> awaited;
  for (const auto& [bare, user] : shard->users)
    if (user->settings_awaited && user->backlog) awaited.push_back(bare);
  std::shared_ptr<runtime::Event>& awaited_by = shard->features.Of<SettingsKnown>().event;
  if (!awaited_by) awaited_by = std::make_shared<runtime::Event>(executor_);
  const std::shared_ptr<runtime::Event> known = awaited_by;
  while (!awaited.empty()) {
    const User* user = shard->FindUser(awaited.back());
    if (user != nullptr && user->settings_awaited) {
      co_await known->Wait();
    } else {
      awaited.pop_back();
    }
  }
}

void SettingsKeeper::Resolve(Shard& shard, const std::string& bare,
                             std::shared_ptr<const UserSettings> settings) {
  User* user = shard.FindUser(bare);
  if (user == nullptr) return;
  user->settings_loading = false;
  user->settings_awaited = false;
  // A change of them was quicker, or somebody who comes late knows better than nobody.
  const bool is_news = user->settings == nullptr || (!user->settings->is_known && settings->is_known);
  if (is_news) {
    if (!settings->is_known) metrics_.settings_unknown.Increment();
    user->settings = std::move(settings);
  }
  for (Listener* listener : listeners_) listener->OnSettingsKnown(shard, bare);
  if (User* left = shard.FindUser(bare)) users_.MaybeForget(*left);
  if (const auto* known = shard.features.Find<SettingsKnown>()) known->event->Notify();
}

void SettingsKeeper::Put(User& user, roster::v1::UserSettings made) { user.settings = Make(std::move(made)); }

void SettingsKeeper::Doubt(User& user) {
  cache_.Forget(user.bare);
  // The settings that were known hold until the answer is there.
  if (user.settings != nullptr)
    user.settings = std::make_shared<const UserSettings>(user.settings->made, false);
}

void SettingsKeeper::OnAccountRemoved(User& user) {
  Doubt(user);
  // Not of one who has the name already.
  if (user.sessions.empty()) user.settings.reset();
}

Task<absl::StatusOr<std::shared_ptr<const UserSettings>>> SettingsKeeper::Require(
    std::shared_ptr<Shard> shard, std::string bare, std::uint64_t trace_id) {
  if (User* user = shard->FindUser(bare); user != nullptr && user->settings && user->settings->is_known)
    co_return user->settings;
  roster::v1::GetUserSettingsRequest request;
  request.set_user(bare);
  auto response = co_await roster_.GetUserSettings(std::move(request), trace_id);
  if (!response.ok()) co_return response.status();
  auto settings = Make(std::move(*response->mutable_settings()));
  if (User* user = shard->FindUser(bare)) {
    // A change may have been quicker.
    if (user->settings && user->settings->is_known) co_return user->settings;
    user->settings = settings;
  }
  co_return settings;
}

}  // namespace rookery::session_manager
