#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// `unavailable`: the session leaves (XEP-0045 section 7.14), whatever nick it is addressed to.
void OnUnavailable(Turn& turn);
/// An error that somebody's client or server returns for what the room has sent: where it says that an
/// occupant's session is not there, the session is taken out, with 333 (section 18.1.2); whoever has sent a
/// private message or an invitation that comes back is told. `turn.stanza` is of any kind.
void OnOccupantError(Turn& turn);

}  // namespace rookery::muc
