#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// How somebody who is not in the room hears of an affiliation.
enum class Courtesy {
  /// An invitation, where one may enter now and had no affiliation before (XEP-0045 section 9.5); else 101,
  /// if the room knew who it is. Without a reason, and no more than `settings.max_requests` of the sender's.
  kTell,
  /// The caller tells.
  kNone,
};
/// Sets an affiliation, for whoever it may be: presence of who is in, its role, who is taken out (bans, 301;
/// members-only, 321), messages about who is not in (101), the list's version (XEP-0463). The caller has
/// checked that it is allowed. With a ban, and the loss of every affiliation, the reserved nick goes.
/// Nothing if that is the affiliation, but that who has none loses the nick, and a ban takes a new reason.
/// The room may be gone after it.
void SetAffiliation(Turn& turn, std::string_view jid, v1::Affiliation affiliation,
                    const std::string& actor_nick, const std::string& reason,
                    Courtesy courtesy = Courtesy::kTell);
/// The account's reserved nick is free; who was nothing else is forgotten.
void GiveNickUp(Room& room, const std::string& jid);
/// Sets the role of an occupant, who stays in.
void SetRole(Turn& turn, std::string_view nick, v1::Role role, const std::string& actor_nick,
             const std::string& reason);

/// Why so many entries more, of people who are not banned, or so many bytes, of whomever, may not be
/// remembered; nullopt: they may.
std::optional<xmpp::ErrorCondition> RefusalOfMore(const Turn& turn, std::int64_t added,
                                                  std::size_t bytes = 0);
/// RefusalOfMore for bans, which have as many places of their own: who fills the list keeps nobody from being
/// banned.
std::optional<xmpp::ErrorCondition> RefusalOfMoreBans(const Turn& turn, std::int64_t added);

}  // namespace rookery::muc
