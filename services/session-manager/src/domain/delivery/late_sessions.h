#pragma once

#include <cstdint>
#include <string_view>

#include "domain/sessions/session.h"
#include "domain/sessions/user.h"
#include "ports/waiting_store.h"

namespace rookery::session_manager {

class OfflineMarks;
class Outbox;

/// Whose a message in the offline store is, seen from a session that its gateway has brought when the
/// shard had been read without it: what an earlier owner gave to it was stored then, as for somebody
/// who is away.
enum class LateClaim {
  /// None of the session's: the message is given as to anybody.
  kNone,
  /// The session's client has it, or is about to: it waits for nobody any more.
  kAcknowledged,
  /// It was given to the session and is not acknowledged: the row is the packet's stanza.
  kUnacknowledged,
};

/// Whether an owner between the one that its gateway had last and this one has not seen it.
bool WasMissed(const Session& session);

/// The session has come. By us, or by an owner before us, records were read without it: what it was given of
/// them may be in the store (`Session::late_offset`), and is taken back, by a later owner where we are not
/// done.
void NoteLate(Session& session, bool by_us, bool by_another);

/// It may lack changes of its user's roster and requests, whoever they are of (`missed_contacts`). False: it
/// has asked for neither.
bool NoteRosterMissed(Session& session);

/// `offset`: the record that the message came from. `to`: its address.
LateClaim ClaimOf(const Session& session, std::int64_t offset, std::string_view to);

/// The packet of that record, which came without its stanza; null when there is none.
UnackedPacket* FindEmptyPacket(Session& session, std::int64_t offset);

/// Whether a session of the user that came late has the row's message already, which is marked then, or
/// waits for its acknowledgement: the row is the packet's stanza from here on.
bool TakeBack(OfflineMarks& marks, Outbox& outbox, User& user, WaitingStore::OfflineMessage& row);

}  // namespace rookery::session_manager
