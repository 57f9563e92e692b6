#include "domain/presence.h"

namespace rookery::muc {

bool SeesAddresses(const Room&, const v1::Occupant&) { return false; }
bool IsBroadcast(const Room&, v1::Role) { return true; }
void BroadcastAvailable(Turn&, const v1::Occupant&, std::vector<Status>, const Deed&) {}
void SendOccupantsTo(Turn&, std::string_view) {}
void RemoveSession(Turn&, std::string_view, const Exit&) {}
void RemoveOccupant(Turn&, std::string_view, const Exit&) {}
xmpp::Stanza CleanPresence(const Turn& turn) { return turn.stanza; }
std::string_view Name(v1::Affiliation) { return {}; }
std::string_view Name(v1::Role) { return {}; }
v1::Role RoleAtEntrance(const v1::RoomConfig&, v1::Affiliation) { return v1::ROLE_PARTICIPANT; }
std::string OccupantIdOf(const Settings&, const Room&, std::string_view) { return {}; }

}  // namespace rookery::muc
