#pragma once

#include <cstdint>

#include "domain/room/turn.h"

namespace rookery::muc {

/// XEP-0500: a text that comes sooner after the sender's last one than the room allows is refused with
/// policy-violation of type wait, and true; any other is noted as the last one. Moderators, admins and owners
/// are exempt. Somebody who has left and entered again, or has another nick in the room, is known by what is
/// kept of those who go, and by the history as far back as the room remembers.
bool RefuseIfTooSoon(Turn& turn, const v1::Occupant& occupant);

/// Counts a stanza of the sender's that others hear of, who is in. More than `settings.max_stanzas` in
/// `settings.changes_period` are refused with policy-violation of type wait, and true. Nobody is exempt.
bool RefuseIfTooFast(Turn& turn);
/// The same for `stanzas` at once, of somebody who need not be in: who changes roles, affiliations or what a
/// room is, of which all occupants are told.
bool RefuseIfTooManyStanzas(Turn& turn, std::size_t stanzas = 1);

/// Counts an error or an answer that the sender's client returns to an occupant of account `recipient`.
/// False: that account was given `settings.max_stanzas` of them in `settings.changes_period`. It brings about
/// no more by what it may send itself. Another occupant that makes up errors for it can use that up: the
/// room does not know which private messages there were. What an account's server returns is not counted.
bool CountReturn(Turn& turn, std::string_view recipient);

/// Counts requests of the sender's account that reach others. False: they would be more than
/// `settings.max_requests` in `settings.changes_period`, and none is counted.
bool CountRequests(Turn& turn, std::int64_t requests);
/// Counts as CountRequests does. Too many: policy-violation of type wait, and true.
bool RefuseIfTooMany(Turn& turn, std::int64_t requests);

}  // namespace rookery::muc
