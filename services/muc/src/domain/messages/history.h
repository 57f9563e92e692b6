#pragma once

#include <string_view>

#include "domain/room/turn.h"
#include "rookery/xmpp/element.h"

namespace rookery::muc {

/// Whether the room's archive keeps a message to all: what has a body, is encrypted, a receipt, marker, call
/// or invitation, a reaction (XEP-0444), correction (XEP-0308), retraction (XEP-0424) or moderation
/// (XEP-0425), changes the subject, or asks for it (XEP-0334); but for retractions, nothing that asks not to
/// be kept. Chat states alone are not kept.
bool BelongsInArchive(const xmpp::Stanza& message);
/// Whether what is said in the room goes to its archive: everywhere, or where an owner has made its log
/// public
/// (`settings.archives_all`).
bool IsArchived(const Turn& turn);
/// Whether those who enter later are given it (XEP-0045 section 7.2.13): what has text and may be kept. A
/// change of the subject is none of it.
bool BelongsInHistory(const xmpp::Stanza& message);

/// Says `message` to all. What belongs in the archive, and whatever has a text, has the next id of the room's
/// archive (XEP-0359), whether or not it is kept there, since retractions and moderators name it so. What
/// belongs in the archive goes there if the room is archived. Gives what was said; archive_id 0: it has none.
v1::PastMessage SayToAll(Turn& turn, xmpp::Stanza message, std::string_view sender);

/// Remembers it for those who enter, as many and as much as the room and the settings allow.
void KeepInHistory(Turn& turn, v1::PastMessage message);

/// To one session that has entered: as much of the history as it wants and may have (sections 7.2.13 and
/// 7.2.14). `wanted`: its <history/>, or null. What is wrong in it is ignored.
void SendHistory(Turn& turn, std::string_view full_jid, const xmpp::Element* wanted);

}  // namespace rookery::muc
