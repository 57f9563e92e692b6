#include "domain/sessions/ended_sessions.h"

#include <algorithm>
#include <functional>

namespace rookery::session_manager {

void EndedSessions::Add(const SessionId& id, std::string_view bare, std::uint64_t resumptions,
                        std::optional<std::uint64_t> confirmed_count, SteadyTime now) {
  const Ended* known = sessions_.Find(id);
  if (known != nullptr && known->resumptions > resumptions) return;
  sessions_.Put(id, {resumptions, confirmed_count, std::hash<std::string_view>{}(bare)}, now);
}

bool EndedSessions::IsOver(const SessionId& id, std::uint64_t resumptions) const {
  const Ended* ended = sessions_.Find(id);
  return ended != nullptr && resumptions <= ended->resumptions;
}

const EndedSessions::Ended* EndedSessions::Find(const SessionId& id, std::string_view bare) const {
  const Ended* ended = sessions_.Find(id);
  return ended != nullptr && ended->user == std::hash<std::string_view>{}(bare) ? ended : nullptr;
}

void EndedSessions::AddAccount(std::string_view bare, std::int64_t offset, SteadyTime now) {
  accounts_.Put(std::string(bare), offset, now);
}

bool EndedSessions::IsAccountGone(std::string_view bare, std::int64_t session_start) const {
  const std::int64_t* offset = accounts_.Find(std::string(bare));
  return offset != nullptr && session_start < *offset;
}

SteadyTime EndedSessions::forgotten_until() const {
  return std::max(sessions_.forgotten_until(), accounts_.forgotten_until());
}

void EndedSessions::Expire(SteadyTime before) {
  sessions_.Expire(before);
  accounts_.Expire(before);
}

}  // namespace rookery::session_manager
