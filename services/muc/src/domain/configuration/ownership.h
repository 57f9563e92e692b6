#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// Returns the configuration of a new room: from the settings, and open, public, unmoderated, semi-anonymous,
/// temporary.
v1::RoomConfig DefaultConfig(const Settings& settings);

/// http://jabber.org/protocol/muc#owner, get: the configuration form (XEP-0045 sections 10.1.3 and 10.2).
void OnOwnerGet(Turn& turn);
/// set: a form is submitted or cancelled (sections 10.1 and 10.2), the room is destroyed (section 10.9).
void OnOwnerSet(Turn& turn);

}  // namespace rookery::muc
