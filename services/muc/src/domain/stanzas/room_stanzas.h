#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// Applies one stanza to a room: the chain of use cases, by kind, type and payload.
void ApplyStanza(Turn& turn);
/// Whether applying it would create the room, which has to be allowed first.
bool WouldCreate(const Settings& settings, const Room& room, const xmpp::Stanza& stanza);

}  // namespace rookery::muc
