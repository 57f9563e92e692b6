#pragma once

#include "domain/room/turn.h"
#include "rookery/xmpp/forms.h"

namespace rookery::muc {

/// A submitted form muc#request: a visitor asks for voice, of which all moderators get a form (XEP-0045
/// section 7.13), or a moderator answers one (section 8.6). An occupant who has voice needs none: nothing
/// happens. False: it is another form.
/// Errors: not-acceptable (not in the room), bad-request (what is asked for is not the role participant, or
/// the answer is none), policy-violation (asked too often), recipient-unavailable (no moderator is in the
/// room), forbidden (answered by no moderator), jid-malformed, item-not-found (who asked has gone).
bool OnVoiceForm(Turn& turn, const xmpp::Form& form);

}  // namespace rookery::muc
