#pragma once

#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

// XEP-0045 section 5.1: in a moderated room, voice outlasts a visit. A member who had none at the end is a
// visitor again; somebody without affiliation who had it has it again, unless they were kicked. The former is
// in the room's entry of the account, the latter in a list of the newest.

inline constexpr int kMaxKeptVoices = 256;

/// The occupant goes.
void KeepVoiceOf(Turn& turn, const v1::Occupant& occupant, bool is_kicked);
/// The role with which an account enters. `role`: that of its affiliation.
v1::Role RoleOnEntry(const Turn& turn, std::string_view bare, std::string_view occupant_id,
                     v1::Affiliation affiliation, v1::Role role);

}  // namespace rookery::muc
