#include "domain/sessions/applied_ends.h"

#include <algorithm>

#include "domain/features/hooks.h"
#include "domain/outbound/directory_writer.h"
#include "domain/presence/presence_tracker.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_removal.h"
#include "domain/state/cause.h"
#include "domain/state/session_table.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

void AppliedEnds::OnEndRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const std::string_view bare = xmpp::BareOf(ended.full_jid());
  const SessionId id(ended.session_id());
  const auto session = table_.Find(id);
  // The session of that id is another user's.
  if (session && session->user->bare != bare) {
    owner_.NoteMisplaced(shard, pending.offset);
    return;
  }
  if (session && session->state.resumptions() > ended.resumptions()) {
    live_.RunSuccessors(*session);
    return;
  }
  EndedSessions& known = live_.EndedOf(shard);
  const bool is_known = known.IsOver(id, ended.resumptions());
  known.Add(id, bare, ended.resumptions(), CountOf(session.get(), ended), clock_.Now());
  Cause cause = CauseOf(pending);
  if (session) {
    removal_.Remove(session, ended, &cause);
  } else if (!is_known) {
    // It died with its gateway and the owner that has put this into the log, or an earlier one.
    directory_.Forget(shard, id, ended.full_jid());
    presence_.OnUnknownSessionEnd(shard, cause, ended);
  }
}

void AppliedEnds::OnFinishedRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const SessionId id(ended.session_id());
  const auto session = table_.Find(id);
  const bool is_over =
      session && session->user->shard == &shard && session->state.resumptions() <= ended.resumptions();
  live_.EndedOf(shard).Add(id, xmpp::BareOf(ended.full_jid()), ended.resumptions(),
                           CountOf(is_over ? session.get() : nullptr, ended), clock_.Now());
  if (!session) directory_.Forget(shard, id, ended.full_jid());
  if (is_over) removal_.Remove(session, ended, /*cause=*/nullptr);
}

void AppliedEnds::EndAtOnce(const std::shared_ptr<Session>& session) {
  live_.EndedOf(*session->user->shard)
      .Add(session->id, session->user->bare, session->state.resumptions(), CountOf(session.get(), {}),
           clock_.Now());
  removal_.Remove(session, /*ended=*/{}, /*cause=*/nullptr);
}

std::uint64_t AppliedEnds::CountAtEnd(const Session& session) const {
  // Those that are in the log, and questions before them, which nobody waits for any more. Sent again
  // would be what was sent after a question, too.
  if (!session.inbound_order) return session.inbound.confirmed();
  return session.inbound.ConfirmedBut([&](std::uint64_t count) {
    return session.inbound_order->IsUnanswered(count, [this](const xmpp::Stanza& stanza) {
      return hooks_.EffectOf(stanza) == Hooks::Effect::kNone;
    });
  });
}

std::optional<std::uint64_t> AppliedEnds::CountOf(const Session* session,
                                                  const events::v1::SessionEnded& ended) const {
  const bool says_count = !ended.is_lost() && !ended.is_count_unknown();
  const bool is_known = session == nullptr ? says_count : !session->is_outdated();
  if (!is_known) return std::nullopt;
  // The record says what was known when the end was decided, and what a gateway has brought may be older.
  const std::uint64_t recorded = says_count ? ended.confirmed_count() : 0;
  return session == nullptr ? recorded : std::max(recorded, CountAtEnd(*session));
}

}  // namespace rookery::session_manager
