#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "domain/turn.h"

namespace rookery::muc {

/// XEP-0045 section 15.6: what a presence or message says by number.
enum class Status : int {
  kNonAnonymousEntered = 100,
  kAffiliationChangedAbsent = 101,
  kConfigurationChanged = 104,
  kSelf = 110,
  kLogged = 170,
  kNotLogged = 171,
  kNonAnonymous = 172,
  kSemiAnonymous = 173,
  kCreated = 201,
  kNickAssigned = 210,
  kBanned = 301,
  kNewNick = 303,
  kKicked = 307,
  kAffiliationChanged = 321,
  kMembersOnly = 322,
  kShutdown = 332,
  kTechnical = 333,
};

/// Who has done something to somebody, and why (XEP-0045 section 9).
struct Deed {
  /// The actor's nick, or empty where nobody is named.
  std::string actor_nick;
  std::string reason;
};

/// Whether an occupant learns the real addresses of others (muc#roomconfig_whois).
bool SeesAddresses(const Room& room, const v1::Occupant& viewer);
/// Whether the presence of somebody with this role is broadcast (muc#roomconfig_presencebroadcast).
bool IsBroadcast(const Room& room, v1::Role role);

/// Tells everybody, in the variants that the XEP makes, what is known of an occupant: one presence for
/// each of the occupant's sessions, the own one last with 110. `statuses` go to the occupant alone.
void BroadcastAvailable(Turn& turn, const v1::Occupant& occupant, std::vector<Status> statuses = {},
                        const Deed& deed = {});
/// The presence of all others, to one session that enters (XEP-0045 section 7.2.2).
void SendOccupantsTo(Turn& turn, std::string_view full_jid);

/// How somebody goes.
struct Exit {
  /// Told to all: 301, 303, 307, 321, 322, 332, 333.
  std::vector<Status> statuses;
  Deed deed;
  /// The <item/> says this: of one who was kicked or banned not what they had.
  v1::Affiliation affiliation = v1::AFFILIATION_NONE;
  v1::Role role = v1::ROLE_NONE;
  /// With 303.
  std::string new_nick;
  /// Of the client's own `unavailable`: what it said, or empty.
  std::string payload;
  /// Further children of <x xmlns='…muc#user'/>: <destroy/>.
  std::string extra;
};
/// One session goes; with its last one the occupant. All hear of it. Destroys a temporary room that is
/// empty then.
void RemoveSession(Turn& turn, std::string_view full_jid, const Exit& exit);
/// All of an occupant's sessions go.
void RemoveOccupant(Turn& turn, std::string_view nick, const Exit& exit);

/// What of a client's presence is broadcast: not what only services may say (<x muc#user/>, occupant-id,
/// hats, <x muc/>), and no more than `settings.max_presence_bytes`.
xmpp::Stanza CleanPresence(const Turn& turn);

std::string_view Name(v1::Affiliation affiliation);
std::string_view Name(v1::Role role);
/// The role that an affiliation has at the entrance (XEP-0045 section 5.1.2).
v1::Role RoleAtEntrance(const v1::RoomConfig& config, v1::Affiliation affiliation);
/// XEP-0421: the same for an account in a room, for ever, and nothing to anybody else.
std::string OccupantIdOf(const Settings& settings, const Room& room, std::string_view bare);

}  // namespace rookery::muc
