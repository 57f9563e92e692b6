#pragma once

#include <optional>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// All that the rules see of somebody.
struct Standing {
  v1::Affiliation affiliation = v1::AFFILIATION_NONE;
  /// None: not in the room.
  v1::Role role = v1::ROLE_NONE;
};

/// Returns the standing of an account: with the highest role of its occupants. Admins and owners are
/// moderators wherever they are (XEP-0045 section 5.1.3).
Standing StandingOf(const Turn& turn, std::string_view bare);

/// Why `actor` may not give this role to `target` (XEP-0045 sections 5.1.1 to 5.1.3, 8.2 to 8.5, 9.6 to 9.8);
/// nullopt: it is allowed. Whether there is anything to change is not looked at.
std::optional<xmpp::ErrorCondition> RefusalOfRole(const Standing& actor, const Standing& target,
                                                  v1::Role wanted, bool is_self);

/// Why `actor` may not change somebody's affiliation from `present` to `wanted` (sections 5.2.1, 5.2.2, 9.1
/// to 9.5, 10.3 to 10.8); nullopt: it is allowed. That an owner remains is for the caller to see to.
std::optional<xmpp::ErrorCondition> RefusalOfAffiliation(v1::Affiliation actor, v1::Affiliation present,
                                                         v1::Affiliation wanted, bool is_self);

/// Whether somebody may read the list of all who have an affiliation (sections 7.11, 9.2, 9.5, 10.5, 10.8),
/// or of the occupants with a role (sections 8.5, 9.8).
bool MayReadList(const Room& room, const Standing& reader, v1::Affiliation affiliation);
bool MayReadList(const Standing& reader, v1::Role role);

/// Whether somebody may learn what only those inside see of the room (Security Considerations, Information
/// Leaks): occupants, members and above, and where anybody can enter, anybody who is not banned.
bool MayLookInside(const Turn& turn, std::string_view bare);

}  // namespace rookery::muc
