#pragma once

#include <string>
#include <string_view>

#include "domain/room/room.h"
#include "rookery/xmpp/element.h"

namespace rookery::muc {

/// The hats of a room (XEP-0317) and who wears them, as presence and disco show them.

/// By its URI; null: the room has none with it.
const v1::Hat* FindHat(const Room& room, std::string_view uri);
/// <hats/> of an account, or an empty string.
std::string HatsOf(const Room& room, std::string_view bare);
/// Changes with the list of hats; empty: there are none (section 2).
std::string HashOfHats(const Room& room);

}  // namespace rookery::muc
