#pragma once

#include <cstdint>

#include "domain/state/session.h"
#include "domain/state/user.h"
#include "ports/waiting_store.h"

namespace rookery::session_manager {

class OfflineMarks;
class Outbox;

/// Whether an owner between the one that its gateway had last and this one has not seen it.
bool WasMissed(const Session& session);

/// The session has come. By us, or by an owner before us, records were read without it: what it was given of
/// them may be in the store (`Session::late_offset`), and is taken back, by a later owner where we are not
/// done.
void NoteLate(Session& session, bool by_us, bool by_another);

/// It may lack changes of its user's roster and requests, whoever they are of (`missed_contacts`). False: it
/// has asked for neither.
bool NoteRosterMissed(Session& session);

/// The packet of that record, which came without its stanza; null when there is none.
UnackedPacket* FindEmptyPacket(Session& session, std::int64_t offset);

/// Whether a session of the user that came late has the row's message already, which is marked then, or
/// waits for its acknowledgement: the row is the packet's stanza from here on.
bool TakeBack(OfflineMarks& marks, Outbox& outbox, User& user, WaitingStore::OfflineMessage& row);

}  // namespace rookery::session_manager
