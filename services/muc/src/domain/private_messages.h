#pragma once

#include "domain/turn.h"

namespace rookery::muc {

/// To an occupant: a private message (XEP-0045 section 7.5), to each of the occupant's sessions. Who is not
/// in the room: not-acceptable. Nobody has the nick: item-not-found. The room does not allow it
/// (muc#roomconfig_allowpm): forbidden, for which the XEP names no error.
void OnPrivateMessage(Turn& turn);

}  // namespace rookery::muc
