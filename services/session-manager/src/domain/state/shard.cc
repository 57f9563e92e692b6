#include "domain/state/shard.h"

#include <utility>

namespace rookery::session_manager {

User& Shard::GetUser(std::string_view bare) {
  if (User* known = FindUser(bare)) return *known;
  auto user = std::make_unique<User>();
  user->bare = bare;
  user->shard = this;
  return *users.emplace(user->bare, std::move(user)).first->second;
}

User* Shard::FindUser(std::string_view bare) const {
  const auto it = users.find(bare);
  return it == users.end() ? nullptr : it->second.get();
}

}  // namespace rookery::session_manager
