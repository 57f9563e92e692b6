#pragma once

#include <string_view>

#include "domain/room.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// The invitation of XEP-0045 section 7.8.2 to `to`, named `from`, with the room's password. `reason` may be
/// empty. `continues`: the <continue/> of a conversation that goes on in the room (section 7.9), or null.
xmpp::Stanza MakeInvitation(const Room& room, std::string_view to, std::string_view from,
                            std::string_view reason, const xmpp::Element* continues = nullptr);

}  // namespace rookery::muc
