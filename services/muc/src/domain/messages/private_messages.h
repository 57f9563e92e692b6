#pragma once

#include <string_view>

#include "domain/room/turn.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// To an occupant: a private message (XEP-0045 section 7.5), to each of the occupant's sessions. The sender
/// is not in the room: not-acceptable. Nobody has the nick: item-not-found. The room does not allow it
/// (muc#roomconfig_allowpm): forbidden, for which the XEP names no error.
void OnPrivateMessage(Turn& turn);
/// A private message of the occupant whom `turn.stanza`, an error, is addressed to has not come to `nick`,
/// and why: who has sent it is told, if the occupant is there and may send such. A message that a server
/// returns counts as private only if it says so: messages to all come from the same address.
void ReturnPrivateMessage(Turn& turn, std::string_view nick, xmpp::ErrorCondition condition);

}  // namespace rookery::muc
