#include "domain/sessions/ended_sessions.h"

#include <algorithm>
#include <functional>
#include <utility>

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

void EndedSessions::AddBack(const SessionId& id, std::uint64_t resumptions, SteadyTime now) {
  back_.Put(id, std::max(resumptions, BackAfter(id)), now);
}

std::uint64_t EndedSessions::BackAfter(const SessionId& id) const {
  const std::uint64_t* resumptions = back_.Find(id);
  return resumptions != nullptr ? *resumptions : 0;
}

const EndedSessions::Ended* EndedSessions::Find(const SessionId& id, std::string_view bare) const {
  const Ended* ended = sessions_.Find(id);
  return ended != nullptr && ended->user == std::hash<std::string_view>{}(bare) ? ended : nullptr;
}

void EndedSessions::AddAccount(std::string_view bare, std::int64_t offset, std::uint64_t generation,
                               SteadyTime now) {
  accounts_.Put(std::string(bare), {offset, generation}, now);
}

bool EndedSessions::IsBarred(std::string_view bare, std::uint64_t generation) const {
  const Removal* removal = accounts_.Find(std::string(bare));
  return removal != nullptr && generation != 0 && generation == removal->generation;
}

void EndedSessions::AddChange(std::string_view bare, CredentialsChange change, SteadyTime now) {
  changes_.Put(std::string(bare), std::move(change), now);
}

const EndedSessions::CredentialsChange* EndedSessions::ChangeOf(std::string_view bare) const {
  return changes_.Find(std::string(bare));
}

bool EndedSessions::HasLostAccount(std::string_view bare,
                                   const session::v1::SessionManagerState& state) const {
  const Removal* removal = accounts_.Find(std::string(bare));
  return removal != nullptr &&
         (state.start_offset() < removal->offset || IsBarred(bare, state.account_generation()));
}

bool EndedSessions::HasLostCredentials(std::string_view bare, const SessionId& id,
                                       const session::v1::SessionManagerState& state) const {
  const CredentialsChange* change = ChangeOf(bare);
  return change != nullptr && state.start_offset() < change->offset &&
         state.credentials_version() != change->version && id != change->session;
}

SteadyTime EndedSessions::forgotten_until() const {
  return std::max({sessions_.forgotten_until(), back_.forgotten_until(), accounts_.forgotten_until(),
                   changes_.forgotten_until()});
}

void EndedSessions::Expire(SteadyTime before) {
  sessions_.Expire(before);
  back_.Expire(before);
  accounts_.Expire(before);
  changes_.Expire(before);
}

}  // namespace rookery::session_manager
