#include "domain/users/settings_cache.h"

#include "domain/state/shard.h"

namespace rookery::session_manager {

namespace {

std::size_t BytesOf(const UserSettings& settings) {
  // Counts only what has been set; the rest is shared.
  if (settings.made.ByteSizeLong() == 0) return 300;
  return 300 + settings.made.SpaceUsedLong() + settings.blocked.bytes();
}

}  // namespace

std::shared_ptr<const UserSettings> SettingsCache::Find(std::string_view bare, std::int64_t epoch) {
  const auto it = cached_.find(bare);
  if (it == cached_.end()) return nullptr;
  if (it->second->epoch != epoch) {
    Erase(it);
    return nullptr;
  }
  order_.splice(order_.begin(), order_, it->second);
  return it->second->settings;
}

void SettingsCache::Remember(const User& user) {
  if (user.settings == nullptr || !user.settings->is_known) return;
  if (const auto old = cached_.find(user.bare); old != cached_.end()) {
    if (old->second->settings == user.settings && old->second->epoch == user.shard->epoch) return;
    Erase(old);
  }
  order_.push_front({user.bare, user.shard->epoch, user.settings, BytesOf(*user.settings)});
  cached_[user.bare] = order_.begin();
  bytes_ += order_.front().bytes;
  while (order_.size() > kMaxCached || bytes_ > kMaxCachedBytes) Erase(cached_.find(order_.back().bare));
}

void SettingsCache::Forget(const std::string& bare) {
  if (const auto cached = cached_.find(bare); cached != cached_.end()) Erase(cached);
}

void SettingsCache::Erase(
    std::unordered_map<std::string, Place, StringHash, std::equal_to<>>::iterator cached) {
  bytes_ -= cached->second->bytes;
  order_.erase(cached->second);
  cached_.erase(cached);
}

}  // namespace rookery::session_manager
