#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "domain/room/turn.h"

namespace rookery::muc {

/// The room's <vCard/> (XEP-0486): anybody who may enter reads it, owners write it.
void OnVcardGet(Turn& turn);
void OnVcardSet(Turn& turn);
/// Whether somebody may read it: not outcasts, and of a members-only room members.
bool MayReadVcard(const Turn& turn, std::string_view bare);
/// The hash of each of its photos, in hex (XEP-0153).
std::vector<std::string> AvatarHashesOf(const Room& room);
/// The room's own presence, with the hash of its avatar (XEP-0153), to these; nothing if it has none.
void SendAvatarHash(Turn& turn, Recipients recipients);

}  // namespace rookery::muc
