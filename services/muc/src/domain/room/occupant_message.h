#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "domain/room/turn.h"
#include "rookery/xmpp/element.h"

namespace rookery::muc {

/// Whether a child, or a part of one, that no trait tells of may have this name or namespace. It looks at
/// the bytes: only a message that may hold one is worth parsing.
bool MayHold(const xmpp::Stanza& message, std::string_view name);

/// XEP-0045 section 8.1: a <subject/> without <thread/> and without a <body/> that has a text.
bool IsSubjectChange(const xmpp::Stanza& message);

/// More than `settings.max_message_bytes`: policy-violation, and true.
bool RefuseIfTooLarge(const Turn& turn);

/// Takes out of a child of an occupant's message or presence what only the room may say; false: that is all
/// of it. <x/> of muc#user, occupant ids, ids of the room's archive (XEP-0359), delays in the room's name,
/// hats, tombstones and moderation, forwarded mentions, original senders (XEP-0033 ofrom). Nor is left what
/// is for the room alone, <x/> of muc with its password, or the id that the sender's own archive has given,
/// which names the account.
bool LeaveWhatOccupantsSay(const Turn& turn, xmpp::Element& child);

/// Makes what others are given of an occupant's message: from the occupant's address, with the occupant id
/// (XEP-0421), without `to` and without what only the room may say.
xmpp::Stanza MessageFrom(const Turn& turn, const v1::Occupant& occupant);

/// Adds an id of the room's archive.
void AddArchiveId(xmpp::Stanza& message, std::string_view room, std::uint64_t archive_id);

}  // namespace rookery::muc
