#include "domain/occupants/privileges.h"

#include <algorithm>

#include "domain/occupants/presence.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

bool IsAdmin(const Standing& standing) { return standing.affiliation >= v1::AFFILIATION_ADMIN; }

}  // namespace

Standing StandingOf(const Turn& turn, std::string_view bare) {
  Standing standing{.affiliation = turn.AffiliationOf(bare)};
  if (IsAdmin(standing)) {
    standing.role = v1::ROLE_MODERATOR;
    return standing;
  }
  for (const v1::Occupant* occupant : turn.room.FindAccount(bare))
    standing.role = std::max(standing.role, occupant->role());
  return standing;
}

std::optional<ErrorCondition> RefusalOfRole(const Standing& actor, const Standing& target, v1::Role wanted,
                                            bool is_self) {
  if (actor.role != v1::ROLE_MODERATOR) return ErrorCondition::kForbidden;
  const bool is_moderated = target.role == v1::ROLE_MODERATOR;
  switch (wanted) {
    case v1::ROLE_NONE:
      // Section 8.2: one may kick oneself, and nobody with a higher affiliation.
      if (is_self) return std::nullopt;
      if (target.affiliation > actor.affiliation || (is_moderated && !IsAdmin(actor)))
        return ErrorCondition::kNotAllowed;
      return std::nullopt;
    case v1::ROLE_MODERATOR:
      return IsAdmin(actor) ? std::nullopt : std::optional(ErrorCondition::kForbidden);
    case v1::ROLE_PARTICIPANT:
    case v1::ROLE_VISITOR:
      // Section 9.7: nobody takes the role of moderator from an admin or owner.
      if (is_moderated) {
        if (!IsAdmin(actor)) return ErrorCondition::kForbidden;
        return IsAdmin(target) ? std::optional(ErrorCondition::kNotAllowed) : std::nullopt;
      }
      if (wanted == v1::ROLE_PARTICIPANT) return std::nullopt;
      // Section 8.4: nor the voice from an admin or owner, or from somebody whose affiliation is at or above
      // one's own. Somebody who has none is not at anybody's level, or a moderator without affiliation could
      // do nothing.
      if (IsAdmin(target) ||
          (target.affiliation != v1::AFFILIATION_NONE && target.affiliation >= actor.affiliation))
        return ErrorCondition::kNotAllowed;
      return std::nullopt;
    default:
      return ErrorCondition::kBadRequest;
  }
}

std::optional<ErrorCondition> RefusalOfAffiliation(v1::Affiliation actor, v1::Affiliation present,
                                                   v1::Affiliation wanted, bool is_self) {
  if (actor < v1::AFFILIATION_ADMIN) return ErrorCondition::kForbidden;
  const bool is_owner = actor == v1::AFFILIATION_OWNER;
  if (wanted == v1::AFFILIATION_OUTCAST) {
    if (is_self) return ErrorCondition::kConflict;
    // Section 5.2.2: admins are banned by owners.
    if (!is_owner && present >= v1::AFFILIATION_ADMIN) return ErrorCondition::kNotAllowed;
    return std::nullopt;
  }
  // Sections 10.5 and 10.8: only owners edit the lists of owners and admins.
  if (!is_owner && (present >= v1::AFFILIATION_ADMIN || wanted >= v1::AFFILIATION_ADMIN))
    return ErrorCondition::kForbidden;
  return std::nullopt;
}

bool MayReadList(const Room& room, const Standing& reader, v1::Affiliation affiliation) {
  const bool is_open_to_owners_only = affiliation >= v1::AFFILIATION_ADMIN;
  if (reader.affiliation == v1::AFFILIATION_OWNER) return true;
  if (IsAdmin(reader) && !is_open_to_owners_only) return true;
  if (affiliation == v1::AFFILIATION_OUTCAST || affiliation == v1::AFFILIATION_NONE) return false;
  // Section 5.2.1: a list has addresses. In semi-anonymous rooms only those have it who see these anyway, and
  // not that of owners and admins (sections 10.5 and 10.8).
  const bool is_non_anonymous = room.config().whois() == v1::AUDIENCE_ANYONE;
  const bool is_moderator = reader.role == v1::ROLE_MODERATOR;
  if (!is_non_anonymous && (is_open_to_owners_only || !is_moderator)) return false;
  if (reader.affiliation < v1::AFFILIATION_MEMBER && !is_moderator) return false;
  // A member who is not in has the role that would be had at the entrance.
  const v1::Role role =
      reader.role == v1::ROLE_NONE ? RoleAtEntrance(room.config(), reader.affiliation) : reader.role;
  return IsAdmin(reader) || (room.config().member_list_readers() & (1u << role)) != 0;
}

bool MayReadList(const Standing& reader, v1::Role role) {
  return role == v1::ROLE_MODERATOR ? IsAdmin(reader) : reader.role == v1::ROLE_MODERATOR;
}

bool MayLookInside(const Turn& turn, std::string_view bare) {
  const v1::Affiliation affiliation = turn.AffiliationOf(bare);
  if (affiliation == v1::AFFILIATION_OUTCAST) return false;
  const v1::RoomConfig& config = turn.room.config();
  if (affiliation >= v1::AFFILIATION_MEMBER) return true;
  if (config.is_public() && !config.is_members_only() && config.password().empty()) return true;
  return turn.occupant() != nullptr || !turn.room.FindAccount(bare).empty();
}

}  // namespace rookery::muc
