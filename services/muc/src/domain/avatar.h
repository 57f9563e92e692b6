#pragma once

#include "domain/turn.h"

namespace rookery::muc {

/// The room's <vCard/> (XEP-0486): anybody who may enter reads it, owners write it.
void OnVcardGet(Turn& turn);
void OnVcardSet(Turn& turn);
/// The room's own presence, with the hash of its avatar (XEP-0153), to these; nothing if it has none.
void SendAvatarHash(Turn& turn, Recipients recipients);

}  // namespace rookery::muc
