#pragma once

#include <string_view>

#include "domain/room/turn.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// The sender's invitation as of XEP-0045 section 7.8.2 to `to`, named `from`, with the room's password; the
/// room remembers it, so that it can be declined. `continues`: the <continue/> of a conversation that goes on
/// in the room (section 7.9), or null.
xmpp::Stanza MakeInvitation(Turn& turn, std::string_view to, std::string_view from,
                            std::string_view reason = {}, const xmpp::Element* continues = nullptr);

}  // namespace rookery::muc
