#pragma once

#include "domain/turn.h"

namespace rookery::muc {

/// type='groupchat' to the room: a message to all (XEP-0045 section 7.4), a change of the subject (section
/// 8.1), a retraction (XEP-0424).
void OnGroupchat(Turn& turn);
/// To an occupant: a private message (section 7.5).
void OnPrivateMessage(Turn& turn);
/// Of no or another type to the room itself: mediated invitations and what is declined (section 7.8),
/// requests for voice and their approval (sections 7.13 and 8.6), the approval of who registers
/// (section 9.9).
void OnMessageToRoom(Turn& turn);

/// What the room says for itself to all, without a body: <x xmlns='…muc#user'/> with these codes
/// (section 10.2.1).
void BroadcastStatuses(Turn& turn, const std::vector<int>& codes);
/// To one session that has entered: as much of the history as it wants and may have, then the subject
/// (sections 7.2.13 to 7.2.15). `wanted`: its <history/>, or null.
void SendHistoryAndSubject(Turn& turn, std::string_view full_jid, const xmpp::Element* wanted);

/// XEP-0425: a moderator's IQ.
void OnModerate(Turn& turn);

}  // namespace rookery::muc
