#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// http://jabber.org/protocol/muc#admin, get: a list of who has a role or an affiliation (XEP-0045 section
/// 9).
void OnAdminGet(Turn& turn);
/// set: roles and affiliations, of several at once, all or none (sections 8 to 10).
void OnAdminSet(Turn& turn);

}  // namespace rookery::muc
