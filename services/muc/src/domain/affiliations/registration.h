#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// jabber:iq:register to the room: a nick is reserved (XEP-0045 section 7.10) or given up (XEP-0077
/// section 3.2). Where membership opens nothing at once and without it; else admins are asked whether
/// somebody becomes a member, of each account once a day. Errors of a submitted form: bad-request,
/// not-acceptable (the nick, or too long a field), not-allowed, conflict (told to those only who may know who
/// is inside), unexpected-request (an admin is still to decide, or has said no), resource-constraint (too
/// many changes of this account, requests of all, or entries).
void OnRegisterGet(Turn& turn);
void OnRegisterSet(Turn& turn);
/// The answers of an admin to the form for approval (section 9.9). False: `form` is not one.
bool OnApproval(Turn& turn, const xmpp::Element& form);

}  // namespace rookery::muc
