#include "domain/delivery/late_claim.h"

#include <algorithm>

#include "domain/delivery/held_records.h"
#include "domain/delivery/waiting_rules.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

LateClaim ClaimOf(const Session& session, std::int64_t offset, std::string_view to) {
  if (offset > session.late_offset || offset <= session.state.start_offset()) return LateClaim::kNone;
  // It was stored, not given, while the session was there.
  if (IsPassedOver(session, offset) || IsHeld(session, offset)) return LateClaim::kNone;
  const auto packet = std::find_if(
      session.unacked.begin(), session.unacked.end(),
      [&](const UnackedPacket& unacked) { return unacked.offset == offset && unacked.stored_id == 0; });
  const std::string_view resource = xmpp::ResourceOf(to);
  // It went to others: the session was not available yet, or is given only what is for its full JID.
  if (resource.empty() && packet == session.unacked.end() &&
      (!WasThereFor(session, offset) || session.priority() < 0))
    return LateClaim::kNone;
  // For another one of the user's sessions: a packet of that record is a carbon copy.
  if (!resource.empty() && resource != session.resource()) return LateClaim::kNone;
  if (packet != session.unacked.end())
    return packet->delivery == nullptr ? LateClaim::kUnacknowledged : LateClaim::kAcknowledged;
  return LateClaim::kAcknowledged;
}

}  // namespace rookery::session_manager
