#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// Applies one stanza to a room: the chain of use cases, by kind, type and payload.
void ApplyStanza(Turn& turn);
/// Whether applying it may create the room, which has to be allowed first: it does, unless its sender or the
/// nick is refused. Nothing else creates one.
bool WouldCreate(const Settings& settings, const Room& room, const xmpp::Stanza& stanza);

}  // namespace rookery::muc
