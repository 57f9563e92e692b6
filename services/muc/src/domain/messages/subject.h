#pragma once

#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// A change of the subject (XEP-0045 section 8.1): moderators may, and participants where the room says so;
/// others: forbidden. More than `settings.max_subject_bytes`: policy-violation.
void OnSubjectChange(Turn& turn, const v1::Occupant& occupant);
/// Beside a body or in a thread a <subject/> is no change, which some clients make of it all the same: it is
/// taken out of the message of one who may not change it.
void RemoveSubjectOf(const Turn& turn, const v1::Occupant& occupant, xmpp::Stanza& message);
/// The subject as it was set last, or an empty one (section 7.2.15).
void SendSubject(Turn& turn, std::string_view full_jid);

}  // namespace rookery::muc
