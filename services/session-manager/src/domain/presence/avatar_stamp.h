#pragma once

#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

struct UserSettings;

// What a user's available presence says of the avatar (XEP-0153), which we know and clients would have to
// load first. It is said as XEP-0398 section 4 asks for, also in presence to one address.

/// Whether the client says that it has no image to show (an empty <photo/>). That is its user's wish, and
/// stays. Other words of it do not: neither that it is not ready to say (an empty <x/>) nor a hash.
bool DeclinesAvatar(const xmpp::Stanza& presence);

/// Puts the hash of the user's avatar in the place of what the client says of it, or that there is no image.
/// Leaves the presence of users who have never set a vCard, and of whom nothing is known (null), as it is.
void StampAvatar(xmpp::Stanza& presence, const UserSettings* settings);

}  // namespace rookery::session_manager
