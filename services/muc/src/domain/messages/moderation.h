#pragma once

#include <cstdint>
#include <vector>

#include "domain/room/turn.h"

namespace rookery::muc {

// A message to all is retracted by its author (XEP-0424) or by a moderator (XEP-0425), named by the id that
// the room's archive gave it. Where the room remembers it, a tombstone takes its place there; if it has set
// the subject, there is none any more. Older ones only the archive has, so that it is told of each
// retraction, even where the room is not archived any more: as a message with <retract id/> among what is
// archived. If that is from the room itself, it is a moderator's and holds for every message; else it holds
// for messages with the same occupant id only.

/// Which messages a message of an occupant retracts, in either version of XEP-0424: one, and more only if
/// somebody tries. Empty: it retracts nothing, or names it as only clients do.
std::vector<std::uint64_t> RetractedBy(const xmpp::Stanza& message);
/// False: somebody else wrote it. The archive decides on what is not remembered.
bool MayRetract(const Turn& turn, std::uint64_t archive_id);
/// `said`: the retraction, as all were given it.
void OnRetracted(Turn& turn, std::uint64_t archive_id, const v1::PastMessage& said);

/// XEP-0425: a moderator's IQ, in either version. All are told, and the archive.
/// Errors: forbidden (of type modify, as the XEP has it: no moderator in the room), bad-request,
/// feature-not-implemented (anything but to retract), item-not-found (no such id was ever given),
/// policy-violation (the reason is too long). An id that was given, but is not remembered, is left to the
/// archive: the room cannot know whether it is one of a message to all.
void OnModerate(Turn& turn);

}  // namespace rookery::muc
