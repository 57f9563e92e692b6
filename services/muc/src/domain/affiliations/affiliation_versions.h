#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

// XEP-0463: each state of the room's affiliations has a number, its version, and versions rise. A new room
// begins above every version that an earlier room of its address can have had; of these it knows nothing.

/// Notes that the entry of `jid` changes now. The caller sets its affiliation afterwards.
void RaiseAffiliationVersion(Room& room, std::string_view jid);
/// Forgets who had an affiliation once, the oldest first, where there are many of them. A client that asks
/// for what has changed since gets the whole list.
void ForgetFormer(Room& room);

/// <mav/> of a change that has just been noted: from the version before to the present one.
std::string MarkOfChange(const Room& room);
/// <mav/> of the present version: for the presence with 110 of one who enters.
std::string MarkOfPresent(const Room& room);

/// Tells the session, before anything else is sent to it, what has changed of the affiliations since the
/// version that <x/> of the entering client names; nothing if it names none.
void SendAffiliationChanges(Turn& turn, std::string_view full_jid, const xmpp::Element& muc);

}  // namespace rookery::muc
