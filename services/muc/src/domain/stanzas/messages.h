#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// type='groupchat' to the room: a message to all (XEP-0045 section 7.4), a change of the subject (section
/// 8.1), a retraction (XEP-0424).
void OnGroupchat(Turn& turn);
/// No or another type to the room itself: mediated invitations and declines (section 7.8), requests for voice
/// and their approval (sections 7.13 and 8.6), the approval of who registers (section 9.9).
void OnMessageToRoom(Turn& turn);

}  // namespace rookery::muc
