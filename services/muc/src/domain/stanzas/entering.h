#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// Presence with which somebody who is not in enters, or makes the room: to an occupant's address, of a
/// client that speaks MUC, or of any where `rooms.groupchat-1` is set.
bool IsEntry(const Settings& settings, const xmpp::Stanza& stanza);

/// Whether presence may have the element by which a client of MUC says that it enters: a look without a
/// parse.
bool MaySayMuc(const xmpp::Stanza& presence);

/// Available presence to an occupant's address: who is not in enters (XEP-0045 section 7.2), creates the room
/// (section 10.1), or is refused; who is in under this nick changes presence (section 7.7), who is in under
/// another changes the nick (section 7.6). GC 1.0 too.
void OnAvailable(Turn& turn);

/// A presence probe to an occupant's address, from whoever believes to be that occupant: who is not in is
/// told so, as by section 7.14.
void OnProbe(Turn& turn);

}  // namespace rookery::muc
