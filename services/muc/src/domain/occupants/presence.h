#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/room/turn.h"

namespace rookery::muc {

/// XEP-0045 section 16.6: what a presence or message says by number.
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
  kTechnical = 333,
};

/// An act on somebody: who has done it, and why (XEP-0045 section 9).
struct Deed {
  /// The actor's nick, or empty where nobody is named.
  std::string actor_nick = {};
  std::string reason = {};
  /// Canonical XML: further children of <x xmlns='…muc#user'/>, as <mav/> with a change of affiliation
  /// (XEP-0463).
  std::string extra = {};
};

/// Whether an occupant learns the real addresses of others (muc#roomconfig_whois).
bool SeesAddresses(const Room& room, const v1::Occupant& viewer);
/// Whether the presence of somebody with this role is broadcast (muc#roomconfig_presencebroadcast).
bool IsBroadcast(const Room& room, v1::Role role);
/// The roles of those who are shown to others if they enter now: in a crowd moderators only, unless an owner
/// has chosen them (`settings.quiet_above`). Bits by Role.
std::uint32_t BroadcastRolesNow(const Turn& turn);
/// Which of an occupant's sessions others hear of: they are told one presence for each nick, as of one with
/// several resources most clients take the last for the only one. The most available one, and among equals
/// the one that came first, so that nothing changes for others when a second device enters. The occupant
/// has a session.
const v1::OccupantSession& ShownSession(const v1::Occupant& occupant);

/// Tells everybody, in the variants that the XEP makes, what is known of an occupant, who is in `turn.room`:
/// others its shown session, then each of its own sessions what it has said itself, with 110. `statuses` go
/// to the occupant alone. If an occupant's presence is not broadcast, others hear nothing, and moderators
/// what is done to it (a deed that is not empty); if it is not broadcast any more, the others hear that the
/// occupant goes.
void BroadcastAvailable(Turn& turn, const v1::Occupant& occupant, std::vector<Status> statuses = {},
                        const Deed& deed = {});
/// The two parts of it: all others, and one of the occupant's own sessions.
/// `do_moderators_hear`: of one whose presence is not broadcast, too, as if something were done to it.
void TellOthers(Turn& turn, const v1::Occupant& occupant, const Deed& deed = {},
                bool do_moderators_hear = false);
void TellSelf(Turn& turn, const v1::Occupant& occupant, std::string_view full_jid,
              std::vector<Status> statuses = {}, const Deed& deed = {});
/// After a change of the configuration: the occupant's presence is broadcast now and was not, or the other
/// way round. TellOthers tells.
bool IsShownWrongly(const Turn& turn, const v1::Occupant& occupant);
/// An occupant's presence again, unless it is not broadcast, to those who see its address now and have not
/// seen it before: the sessions of an account (bare JID) that has become a moderator (XEP-0045
/// section 7.2.4), or, if that is empty, all but moderators of a room that has become non-anonymous. Those
/// who do not see addresses hear nothing.
void TellAddress(Turn& turn, const v1::Occupant& occupant, std::string_view account);
/// The presence of all others, to one session that enters (XEP-0045 section 7.2.2).
void SendOccupantsTo(Turn& turn, std::string_view full_jid);

/// Sends to all a message of the room's own, without a body: <x xmlns='…muc#user'/> with these codes (section
/// 10.2.1).
void BroadcastStatuses(Turn& turn, const std::vector<int>& codes);

/// How somebody goes.
struct Exit {
  /// Told to all: 301, 303, 307, 321, 322, 332, 333.
  std::vector<Status> statuses = {};
  Deed deed = {};
  /// The <item/> says this: of one who was kicked or banned not what they had.
  v1::Affiliation affiliation = v1::AFFILIATION_NONE;
  v1::Role role = v1::ROLE_NONE;
  /// With 303.
  std::string new_nick = {};
  /// The payload of the client's own `unavailable`, or empty.
  std::string payload = {};
  /// Canonical XML: further children of <x xmlns='…muc#user'/>, as <destroy/>.
  std::string extra = {};
};
/// One session goes; with its last one the occupant: all hear of it, and a temporary room that is empty then
/// is destroyed. While the occupant has others, only that session hears that it goes; others hear where what
/// they are shown changes.
void RemoveSession(Turn& turn, std::string_view full_jid, const Exit& exit);
/// All of an occupant's sessions go. Moderators hear also of one whose presence is not broadcast.
void RemoveOccupant(Turn& turn, std::string_view nick, const Exit& exit);
/// The first part of it: the occupant hears that it goes, and is out. Gives who it was; then TellOthersGone
/// tells the others, if the room still exists.
v1::Occupant Expel(Turn& turn, const v1::Occupant& occupant, Exit exit);
/// Those who stay when several go at once: lists of full JIDs, not null.
struct Staying {
  std::shared_ptr<const Recipients> moderators;
  std::shared_ptr<const Recipients> others;
};
/// They go together: each hears of itself alone, and those who stay of each. They are in the room.
void RemoveOccupants(Turn& turn, const std::vector<std::string>& nicks, const Exit& exit,
                     const Staying& staying);
/// Tell what RemoveOccupant tells: one of the occupant's own sessions, and all others, of one who is in or
/// was.
void TellSelfGone(Turn& turn, const v1::Occupant& occupant, std::string_view full_jid, const Exit& exit);
void TellOthersGone(Turn& turn, const v1::Occupant& occupant, const Exit& exit);
/// Everybody goes and hears of oneself only (section 10.9), then the room is destroyed.
void DestroyRoom(Turn& turn, const Exit& exit);

/// Returns what is broadcast of a client's presence, without addresses and id: not what only the room may say
/// (occupant_message.h), one <show/> and <priority/>, and of the rest no more than
/// `settings.max_presence_bytes`.
xmpp::Stanza CleanPresence(const Turn& turn);

std::string_view Name(v1::Affiliation affiliation);
std::string_view Name(v1::Role role);
/// The role that an affiliation has at the entrance (XEP-0045 section 5.1.2).
v1::Role RoleAtEntrance(const v1::RoomConfig& config, v1::Affiliation affiliation);
/// XEP-0421: the same for an account in a room, for ever, and nothing to anybody else. A later account of the
/// same name has another (`account_generation`; 0: not known).
std::string OccupantIdOf(const Settings& settings, const Room& room, std::string_view bare,
                         std::uint64_t account_generation = 0);

}  // namespace rookery::muc
