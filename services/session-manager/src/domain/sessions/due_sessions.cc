#include "domain/sessions/due_sessions.h"

#include "domain/outbound/gateways.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_parker.h"
#include "domain/sessions/session_resumer.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"

namespace rookery::session_manager {

void DueSessions::OnShardLive(Shard& shard) {
  for (const auto& session : live_.Unparked(shard)) parker_.Park(session);
  ends_.EndConflicts(shard);
  ends_.EndOldCredentials(shard);
  for (const SessionId& id : live_.TakeReturned(shard))
    if (const auto session = table_.Find(id)) parker_.OnPhase(*session);
}

void DueSessions::Sweep(Shard& shard) {
  while (const auto session = live_.TakeDue(shard)) OnDue(session);
  resumer_.LookForUnknown(shard);
  live_.Expire(shard);
  if (gateways_.HaveAllAttached(shard)) ends_.EndLost(shard, settings_.link_grace);
}

void DueSessions::OnDue(const std::shared_ptr<Session>& session) {
  const SteadyTime now = clock_.Now();
  const WaitingResume* const waits = session->rare().resume_waits.get();
  if (waits != nullptr && waits->limit <= now) resumer_.GiveUp(session);
  const auto limit = session->is_resumable() ? settings_.resume_timeout : settings_.link_grace;
  if (IsAway(session->phase()) && now - session->detached_since >= limit) {
    ends_.EndTimedOut(session);
  } else {
    live_.Schedule(*session);
  }
}

}  // namespace rookery::session_manager
