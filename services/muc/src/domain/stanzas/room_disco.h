#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// disco#info of the room (XEP-0045 section 6.4), of its nodes (x-roomuser-item, section 7.12; muc#traffic,
/// section 15.4…), and of what XEPs beside it announce.
void OnDiscoInfo(Turn& turn);
/// disco#items: the occupants, to whom they are shown (section 6.5).
void OnDiscoItems(Turn& turn);

}  // namespace rookery::muc
