#pragma once

#include "domain/room/turn.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// The mediated invitations in an occupant's <x/> (XEP-0045 sections 7.8.2 and 7.9): all are passed on or
/// none. In a members-only room those who may invite are admins, and members where the room allows it; who
/// is invited becomes a member first. The inviter is named by account where everybody sees accounts, else
/// as an occupant. False: there is none.
/// Errors: not-acceptable (not in the room), forbidden (may not invite, or the invitee is banned),
/// jid-malformed, not-acceptable (too long a reason), item-not-found (an address of this cluster that is
/// no account's), remote-server-not-found (a foreign domain), policy-violation (too many, too long an id),
/// resource-constraint (the list of members is full).
bool OnInvitations(Turn& turn, const xmpp::Element& x);
/// `turn.stanza` is an error, and may be what has come of an invitation: nobody has it. Somebody who was made
/// a member by it alone is none any more, and the inviter is told once, if still in the room: item-not-found
/// where the invitee's server has no more to say (section 7.8.2, "a non-existent JID").
void ReturnInvitation(Turn& turn, xmpp::ErrorCondition condition);
/// Handles a decline: tells whoever has invited, if in the room or affiliated with it, named by account or as
/// an occupant; once, and as long as the room remembers the invitation. Nobody else is told, and nobody
/// learns who is in the room. False: it is none. Errors: jid-malformed, forbidden (banned), not-acceptable
/// (too long a reason), policy-violation (too many).
bool OnDecline(Turn& turn, const xmpp::Element& x);

}  // namespace rookery::muc
