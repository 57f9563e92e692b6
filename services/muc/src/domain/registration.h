#pragma once

#include "domain/turn.h"

namespace rookery::muc {

/// jabber:iq:register to the room: a nick is reserved, with membership (XEP-0045 section 7.10), or given up
/// (XEP-0077 section 3.2). In an open room at once, in a members-only room when an admin has approved.
void OnRegisterGet(Turn& turn);
void OnRegisterSet(Turn& turn);
/// The answers of an admin to the form for approval (section 9.9). False: `form` is not one.
bool OnApproval(Turn& turn, const xmpp::Element& form);

}  // namespace rookery::muc
