#include "domain/roster/user_settings.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "domain/core.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/records/record_order.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

const std::shared_ptr<const UserSettings>& Unknown() {
  static const auto unknown = std::make_shared<const UserSettings>(UserSettings{{}, false});
  return unknown;
}

/// Most users have set nothing, and share that.
std::shared_ptr<const UserSettings> Make(roster::v1::UserSettings made) {
  static const auto nothing = std::make_shared<const UserSettings>();
  if (made.ByteSizeLong() == 0) return nothing;
  return std::make_shared<const UserSettings>(UserSettings{std::move(made)});
}

std::size_t BytesOf(const UserSettings& settings) {
  // Of what has been set, only; the rest is shared.
  return 300 + (settings.made.ByteSizeLong() == 0 ? 0 : settings.made.SpaceUsedLong());
}

}  // namespace

bool SettingsKeeper::Look(User& user) {
  const auto it = cached_.find(user.bare);
  if (it != cached_.end()) {
    if (it->second->epoch == user.shard->epoch) {
      order_.splice(order_.begin(), order_, it->second);
      user.settings = it->second->settings;
      return true;
    }
    DropCached(user.bare);
  }
  const bool is_away = core_.clock().Now() < away_until_;
  if (user.settings != nullptr) {
    // Not known last time: asked for again, while life goes on.
    if (!is_away && !user.settings_loading) StartLoading(user);
    return true;
  }
  if (is_away) {
    core_.metrics().settings_unknown.Increment();
    user.settings = Unknown();
    return true;
  }
  user.settings_awaited = true;
  if (!user.settings_loading) StartLoading(user);
  core_.tasks().Spawn("settings.patience", GiveUpWaiting(core_.SharedShard(user.shard->number), user.bare));
  return false;
}

void SettingsKeeper::StartLoading(User& user) {
  user.settings_loading = true;
  core_.tasks().Spawn("settings.load", Load(core_.SharedShard(user.shard->number), user.bare));
}

Task<void> SettingsKeeper::Load(std::shared_ptr<Shard> shard, std::string bare) {
  // Never within the call that asks: where no roster service is known there is an answer at once, after
  // which the user may be forgotten.
  co_await asio::post(core_.executor(), asio::use_awaitable);
  if (shard->released()) co_return;
  const SteadyTime asked = core_.clock().Now();
  roster::v1::GetUserSettingsRequest request;
  request.set_user(bare);
  auto response = co_await core_.ports().roster.GetUserSettings(std::move(request), /*trace_id=*/0);
  if (response.ok()) answered_at_ = core_.clock().Now();
  if (shard->released()) co_return;
  if (!response.ok()) {
    telemetry::LogDebug("settings.away", {{"error", Message(response.status())}});
    NoteSilence(asked);
    Resolve(*shard, bare, Unknown());
    co_return;
  }
  Resolve(*shard, bare, Make(std::move(*response->mutable_settings())));
}

Task<void> SettingsKeeper::GiveUpWaiting(std::shared_ptr<Shard> shard, std::string bare) {
  const SteadyTime asked = core_.clock().Now();
  co_await runtime::Sleep(kPatience);
  if (shard->released()) co_return;
  const User* user = core_.FindUser(*shard, bare);
  if (user == nullptr || !user->settings_awaited) co_return;
  NoteSilence(asked);
  Resolve(*shard, bare, Unknown());
}

void SettingsKeeper::NoteSilence(SteadyTime asked) {
  if (answered_at_ < asked) away_until_ = core_.clock().Now() + kAwayFor;
}

bool SettingsKeeper::IsAwaited(const Shard& shard) {
  return std::any_of(shard.users.begin(), shard.users.end(),
                     [](const auto& entry) { return entry.second->settings_awaited && entry.second->backlog; });
}

Task<void> SettingsKeeper::AwaitAll(std::shared_ptr<Shard> shard) {
  std::vector<std::string> awaited;
  for (const auto& [bare, user] : shard->users)
    if (user->settings_awaited && user->backlog) awaited.push_back(bare);
  if (!shard->settings_known) shard->settings_known = std::make_shared<runtime::Event>(core_.executor());
  const std::shared_ptr<runtime::Event> known = shard->settings_known;
  while (!awaited.empty() && !shard->released()) {
    const User* user = core_.FindUser(*shard, awaited.back());
    if (user != nullptr && user->settings_awaited) {
      co_await known->Wait();
    } else {
      awaited.pop_back();
    }
  }
}

void SettingsKeeper::Resolve(Shard& shard, const std::string& bare,
                             std::shared_ptr<const UserSettings> settings) {
  User* user = core_.FindUser(shard, bare);
  if (user == nullptr) return;
  user->settings_loading = false;
  user->settings_awaited = false;
  // A change of them was quicker, or somebody who comes late knows better than nobody.
  const bool is_news = user->settings == nullptr || (!user->settings->is_known && settings->is_known);
  if (is_news) {
    if (!settings->is_known) core_.metrics().settings_unknown.Increment();
    user->settings = std::move(settings);
  }
  core_.client_stanzas().Go(*user);
  core_.order().Go(shard, bare);
  if (User* left = core_.FindUser(shard, bare)) core_.MaybeForget(*left);
  if (shard.settings_known) shard.settings_known->Notify();
}

void SettingsKeeper::Put(User& user, roster::v1::UserSettings made) { user.settings = Make(std::move(made)); }

void SettingsKeeper::Doubt(User& user) {
  DropCached(user.bare);
  // What was known holds until the answer is there.
  if (user.settings != nullptr)
    user.settings = std::make_shared<const UserSettings>(UserSettings{user.settings->made, false});
}

void SettingsKeeper::DropCached(const std::string& bare) {
  const auto old = cached_.find(bare);
  if (old == cached_.end()) return;
  bytes_ -= old->second->bytes;
  order_.erase(old->second);
  cached_.erase(old);
}

void SettingsKeeper::Remember(const User& user) {
  if (user.settings == nullptr || !user.settings->is_known) return;
  if (const auto old = cached_.find(user.bare); old != cached_.end()) {
    if (old->second->settings == user.settings && old->second->epoch == user.shard->epoch) return;
    DropCached(user.bare);
  }
  order_.push_front({user.bare, user.shard->epoch, user.settings, BytesOf(*user.settings)});
  cached_[user.bare] = order_.begin();
  bytes_ += order_.front().bytes;
  while (order_.size() > kMaxCached || bytes_ > kMaxCachedBytes) {
    bytes_ -= order_.back().bytes;
    cached_.erase(order_.back().bare);
    order_.pop_back();
  }
}

Task<absl::StatusOr<std::shared_ptr<const UserSettings>>> SettingsKeeper::Require(
    std::shared_ptr<Shard> shard, std::string bare, std::uint64_t trace_id) {
  if (User* user = core_.FindUser(*shard, bare);
      user != nullptr && user->settings && user->settings->is_known)
    co_return user->settings;
  roster::v1::GetUserSettingsRequest request;
  request.set_user(bare);
  auto response = co_await core_.ports().roster.GetUserSettings(std::move(request), trace_id);
  if (!response.ok()) co_return response.status();
  if (shard->released()) co_return absl::UnavailableError("the user's shard has moved");
  auto settings = Make(std::move(*response->mutable_settings()));
  if (User* user = core_.FindUser(*shard, bare)) {
    // A change may have been quicker.
    if (user->settings && user->settings->is_known) co_return user->settings;
    user->settings = settings;
  }
  co_return settings;
}

}  // namespace rookery::session_manager
