#pragma once

#include "domain/state/user.h"

namespace rookery::session_manager {

class SettingsCache;

/// Which users have an entry in their shard: those with sessions, or with something under way. I/O
/// thread only.
class Users {
 public:
  explicit Users(SettingsCache& settings) : settings_(settings) {}

  /// Drops the entry if nothing needs it; what the user has set is remembered for a while.
  void MaybeForget(User& user);

 private:
  SettingsCache& settings_;
};

}  // namespace rookery::session_manager
