#include "domain/users/users.h"

#include <unordered_map>

#include "domain/state/shard.h"
#include "domain/users/settings_cache.h"

namespace rookery::session_manager {

void Users::MaybeForget(User& user) {
  if (user.idle) user.idle->Notify();
  if (user.outbound) {
    // Records that have been read are the backlog's.
    std::erase_if(*user.outbound, [&](const auto& entry) {
      return entry.second.appending == 0 && entry.second.newest < user.shard->window.next_offset();
    });
    if (user.outbound->empty()) user.outbound.reset();
  }
  if (!user.sessions.empty() || user.storing > 0 || user.backlog || user.settings_loading || user.outbound)
    return;
  settings_.Remember(user);
  user.shard->users.erase(user.bare);
}

}  // namespace rookery::session_manager
