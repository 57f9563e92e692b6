#include "domain/delivery/late_sessions.h"

#include <algorithm>

#include "domain/delivery/delivery_state.h"
#include "domain/delivery/late_claim.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

bool WasMissed(const Session& session) {
  return session.known_epoch >= 0 && session.known_epoch < session.user->shard->former_epoch;
}

void NoteLate(Session& session, bool by_us, bool by_another) {
  const bool is_left = session.state.has_late_offset();
  if (!by_us && !by_another && !is_left) return;
  if (by_us || by_another) session.state.set_late_offset(session.last_primary);
  session.late_offset = session.state.late_offset();
  session.late_since =
      by_another || is_left ? session.state.passed_over_since() : session.user->shard->committed;
}

bool NoteRosterMissed(Session& session) {
  if (!session.state.interested() && !session.available()) return false;
  session.state.clear_missed_contacts();
  session.state.add_missed_contacts();
  session.state.set_removals_missed(session.state.interested());
  return true;
}

UnackedPacket* FindEmptyPacket(Session& session, std::int64_t offset) {
  const auto packet =
      std::find_if(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& unacked) {
        return unacked.offset == offset && unacked.stored_id == 0 && unacked.delivery == nullptr;
      });
  return packet == session.unacked.end() ? nullptr : &*packet;
}

bool TakeBack(OfflineMarks& marks, Outbox& outbox, User& user, WaitingStore::OfflineMessage& row) {
  const std::int64_t offset = OffsetOf(row.id);
  const Shard& shard = *user.shard;
  for (const auto& session : user.sessions) {
    // Finished before anybody read without the session: who stored it knew that no session had it, unless
    // that was this owner, who took it for a packet of a session that nobody has.
    const bool is_orphan = shard.delivery && shard.delivery->orphans.contains({session->id, offset});
    if (offset < session->late_since && !is_orphan) continue;
    if (HasTaken(*session, row.id)) return true;
    switch (ClaimOf(*session, offset, row.stanza.to())) {
      case LateClaim::kNone:
        continue;
      case LateClaim::kAcknowledged:
        marks.MarkGiven(*session, {row.id});
        return true;
      case LateClaim::kUnacknowledged:
        break;
    }
    UnackedPacket& packet = *FindEmptyPacket(*session, offset);
    packet.delivery = FromRow(user.bare, row);
    packet.delivery->open_targets = 1;
    packet.stored_id = row.id;
    packet.has_row = true;
    packet.primary = true;
    session->unacked_bytes += packet.delivery->bytes();
    auto& given = *session->state.add_given_offline();
    given.set_seq(packet.seq);
    given.set_id(row.id);
    outbox.Publish(*session);
    return true;
  }
  return false;
}

}  // namespace rookery::session_manager
