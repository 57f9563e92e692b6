#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// XEP-0452: where the room forwards mentions, those whom a message mentions by reference (XEP-0372), as
/// xmpp:account or by a reserved nick as xmpp:room/nick, who are members or more and not in the room, are
/// given it at their accounts. The first ten of a message.
void ForwardMentions(Turn& turn, const v1::PastMessage& said);

}  // namespace rookery::muc
