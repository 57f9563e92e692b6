#pragma once

#include "domain/turn.h"

namespace rookery::muc {

/// The commands of XEP-0317 at the room (XEP-0050): hats are made, given and taken.
void OnCommand(Turn& turn);
/// Whether a child of a presence is a hat's, which only the room may say.
bool IsHats(const xmpp::Element& child);
/// <hats/> of an account, or an empty string.
std::string HatsOf(const Room& room, std::string_view bare);

}  // namespace rookery::muc
