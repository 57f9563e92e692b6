#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "domain/turn.h"

namespace rookery::muc {

/// http://jabber.org/protocol/muc#admin, get: a list of who has a role or an affiliation (XEP-0045 section
/// 9).
void OnAdminGet(Turn& turn);
/// set: roles and affiliations, of several at once, all or none (sections 8 to 10).
void OnAdminSet(Turn& turn);

/// What somebody hears of an affiliation who is not in the room.
enum class Courtesy {
  /// An invitation, where one may enter now and had no affiliation before (XEP-0045 section 9.5); else 101.
  kTell,
  /// The caller tells.
  kNone,
};
/// Sets an affiliation, for whoever it may be: presence of who is in, its role, who is taken out (bans, 301;
/// members-only, 321), messages about who is not in (101), the list's version (XEP-0463). The caller has
/// checked that it is allowed. With a ban, and the loss of every affiliation, the reserved nick goes.
/// Nothing if that is the affiliation. The room may be gone after it.
void SetAffiliation(Turn& turn, std::string_view jid, v1::Affiliation affiliation,
                    const std::string& actor_nick, const std::string& reason,
                    Courtesy courtesy = Courtesy::kTell);
/// Sets the role of an occupant; none: kicked (307). The room may be gone after it.
void SetRole(Turn& turn, std::string_view nick, v1::Role role, const std::string& actor_nick,
             const std::string& reason);

/// Whether the entry says more than that there was one (`settings.max_affiliations`).
bool IsRemembered(const v1::Affiliated& entry);
/// Why so many entries more, or so many bytes, may not be remembered; nullopt: they may.
std::optional<xmpp::ErrorCondition> RefusalOfMore(const Turn& turn, std::int64_t added,
                                                  std::size_t bytes = 0);

/// XEP-0463: what has changed of the affiliations since the version that <x/> of an entering client names, to
/// the session, before anything else is sent to it; nothing if it names none. <mav/> of its presence with 110
/// is in affiliation_versions.h.
void SendAffiliationChanges(Turn& turn, std::string_view full_jid, const xmpp::Element& muc);

}  // namespace rookery::muc
