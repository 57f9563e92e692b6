#include "domain/sessions/session_parker.h"

#include <algorithm>
#include <utility>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/session_rows.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_snapshot.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

std::int64_t ParkedAt(const session::v1::SessionAttach& row) {
  return row.has_parked_at() ? row.parked_at() : -1;
}

}  // namespace

// ---- to the store -----------------------------------------------------------

void SessionParker::Park(const std::shared_ptr<Session>& session) {
  // Before the shard is live: `DueSessions::OnShardLive` parks it then.
  if (!session->user->shard->live() || session->is_outdated()) return;
  switch (session->phase()) {
    case SessionPhase::kLinkLost:
    case SessionPhase::kAway:
      // All that was received must be in the log first: the row says how much arrived.
      if (session->is_resumable() && session->inbound.is_all_confirmed())
        live_.Enter(*session, SessionPhase::kParking);
      break;
    case SessionPhase::kParked:
      if (session->gateway == nullptr) break;
      AddAction(*session).mutable_parked();
      gateways_.Assign(*session, nullptr);
      break;
    default:
      break;
  }
}

bool SessionParker::IsRowDue(const Session& session) {
  if (session.phase() == SessionPhase::kParking) return true;
  // Nobody may find it: only a gateway that comes late can still go on with the session.
  if (session.phase() == SessionPhase::kParked && session.is_outdated())
    return session.row.content != ParkedRow::Content::kNone;
  // Its client is back, and the gateway that it has come to knows the session for certain.
  return session.phase() == SessionPhase::kConnected && session.row.content != ParkedRow::Content::kNone;
}

void SessionParker::OnPhase(const Session& session) {
  const auto shared = table_.Find(session.id);
  if (session.phase() == SessionPhase::kConnected || session.phase() == SessionPhase::kResumed) {
    ParkedRow& row = shared->row;
    row.is_source = false;
    // The row in the store says less than its client knows from here on.
    if (row.content == ParkedRow::Content::kCurrent) row.content = ParkedRow::Content::kOutdated;
    // While it is not known whether its new gateway has the session, the row is as good as that.
    if (!session.is_unheard && std::exchange(row.is_fresh, false)) row.misleads = true;
    if (row.misleads && !session.user->shard->live()) {
      live_.NoteBack(session);
    } else if (row.misleads) {
      BeginTelling(shared);
    }
    const bool is_done = row.content == ParkedRow::Content::kNone && !row.is_busy;
    if (session.phase() == SessionPhase::kConnected && is_done)
      ReleaseBackRecord(*session.user->shard, *shared);
  }
  // Its client is not kept waiting for a store that is away: the log says, too, that the row is outdated.
  const bool is_kept_waiting =
      session.rare().resume_waits && session.row.misleads &&
      (session.phase() == SessionPhase::kAway || session.phase() == SessionPhase::kParking);
  if (is_kept_waiting && session.user->shard->live()) BeginTelling(shared);
  if (!MayMislead(session)) ReleaseBackRecord(*session.user->shard, *shared);
  if (session.row.is_busy || !IsRowDue(session)) return;
  shared->row.is_busy = true;
  session.user->shard->Spawn("session.keep_row",
                             KeepRow(shards_.Shared(session.user->shard->number), shared));
}

const std::shared_ptr<runtime::Event>& SessionParker::EventOf(std::shared_ptr<runtime::Event>& event) const {
  if (!event) event = std::make_shared<runtime::Event>(executor_);
  return event;
}

bool SessionParker::MayMislead(const Session& session) {
  return session.row.is_busy || session.row.content == ParkedRow::Content::kOutdated ||
         !session.rare().left_gateway.empty() || session.is_outdated();
}

void SessionParker::OnEndRead(Session& session) { ReleaseBackRecord(*session.user->shard, session); }

Task<void> SessionParker::KeepRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  // Never within the move that made the row due: its caller is not done with the session.
  co_await runtime::Yield();
  runtime::Backoff backoff(kBackendRetries);
  while (IsRowDue(*session)) {
    const bool is_away = session->phase() == SessionPhase::kParking;
    absl::Status written;
    if (is_away && session->row.is_telling) {
      // The row is newer than that record, and says so.
      const std::shared_ptr<runtime::Event> told = EventOf(session->MakeRare().row_told);
      co_await told->Wait();
      continue;
    }
    if (is_away) {
      written = co_await WriteRow(shard, session);
    } else {
      WaitingStore::SessionKey key{std::string(session->jid.bare()), session->id.str()};
      written = co_await states_.WriterOf(*shard).Unpark(std::move(key));
      if (written.ok()) {
        session->row.content = ParkedRow::Content::kNone;
        session->row.is_fresh = false;
        ReleaseBackRecord(*shard, *session);
        listener_->OnRowTold(session);
      }
    }
    if (written.ok()) {
      backoff.Reset();
      continue;
    }
    telemetry::LogWarn("session.park_failed", {{"error", Message(written)}});
    co_await backoff.Wait();
  }
  session->row.is_busy = false;
  if (session->rare().row_at_rest) std::exchange(session->MakeRare().row_at_rest, nullptr)->Set();
}

Task<absl::Status> SessionParker::WriteRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const SteadyTime since = session->detached_since;
  session->row.content = ParkedRow::Content::kOutdated;
  session->row.is_fresh = true;
  session->row.is_behind = false;
  session->row.written_at = std::max(shard->window.next_offset() - 1, session->row.told_at);
  WaitingStore::ParkedSession row;
  row.key = {session->user->bare, session->id.str()};
  row.left =
      std::chrono::duration_cast<std::chrono::milliseconds>(since + settings_.resume_timeout - clock_.Now());
  row.attach = SnapshotOf(*session);
  row.attach.set_detached(true);
  row.attach.set_parked_at(session->row.written_at);
  const absl::Status written = co_await states_.WriterOf(*shard).Park(std::move(row));
  // It may have been back meanwhile: the row is of the first time then.
  const bool is_same = session->phase() == SessionPhase::kParking && session->detached_since == since;
  if (!written.ok() || !is_same || session->row.is_behind) co_return written;
  session->row.content = ParkedRow::Content::kCurrent;
  session->row.misleads = false;
  ReleaseBackRecord(*shard, *session);
  live_.Enter(*session, SessionPhase::kParked);
  Park(session);  // tells the gateway
  listener_->OnRowTold(session);
  co_return written;
}

void SessionParker::LetRowGo(Session& session) {
  // Where the client has left a gateway, SessionResumer says when.
  const bool is_row_all = session.rare().left_gateway.empty() && !session.is_unheard;
  if (session.phase() == SessionPhase::kResumed && is_row_all) live_.Enter(session, SessionPhase::kConnected);
}

Task<void> SessionParker::TellTogether() {
  // Never within the move that has brought the first of them.
  co_await runtime::Yield();
  if (settings_.tell_back_together.count() > 0) co_await runtime::Sleep(settings_.tell_back_together);
  auto together = std::exchange(back_, {});
  for (auto& [shard, session] : together) {
    if (!session->ended() && session->row.misleads) {
      shard->Spawn("session.tell_back", TellBack(shard, session));
    } else {
      EndTelling(*session);
    }
  }
}

void SessionParker::BeginTelling(const std::shared_ptr<Session>& session) {
  if (std::exchange(session->row.is_telling, true)) return;
  back_.emplace_back(shards_.Shared(session->user->shard->number), session);
  if (back_.size() == 1) tasks_.Spawn("session.tell_together", TellTogether());
}

void SessionParker::EndTelling(Session& session) {
  session.row.is_telling = false;
  if (session.rare().row_told) std::exchange(session.MakeRare().row_told, nullptr)->Set();
}

Task<void> SessionParker::TellBack(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  events::v1::UserRecord record;
  const auto next = [&]() -> const google::protobuf::MessageLite* {
    if (session->ended() || !session->row.misleads) return nullptr;
    LetRowGo(*session);
    owner_.FillOrigin(*shard, *record.mutable_origin());
    record.set_received_at_ms(clock_.UnixMillisNow());
    events::v1::SessionBack& back = *record.mutable_session_back();
    back.set_session_id(session->id.str());
    back.set_full_jid(std::string(session->jid.str()));
    back.set_resumptions(session->state.resumptions());
    return &record;
  };
  const auto refused = [&](const absl::Status& why) {
    follow_ups_.NoteRefusal(events::Topic::kUsers, shard->number, why);
  };
  while (!session->ended() && session->row.misleads) {
    const std::int64_t offset = co_await owner_.AppendUntilTaken(
        shard, {events::Topic::kUsers, shard->number, std::string(session->jid.bare())}, next, refused);
    session->row.told_at = std::max(session->row.told_at, offset);
    // Else another row has been written meanwhile.
    if (offset > session->row.written_at) session->row.misleads = false;
  }
  EndTelling(*session);
  LetRowGo(*session);
  listener_->OnRowTold(session);
}

void SessionParker::OnStateChanged(Session& session) {
  session.row.is_behind = true;
  if (session.phase() != SessionPhase::kParked) return;
  session.row.content = ParkedRow::Content::kOutdated;
  live_.Enter(session, SessionPhase::kAway);
  Park(table_.Find(session.id));
}

void SessionParker::OnReceivedWhileAway(Session& session) {
  session.row.is_behind = true;
  if (session.row.content != ParkedRow::Content::kNone) {
    session.row.content = ParkedRow::Content::kOutdated;
    // Unless the log says already that the row is outdated.
    session.row.misleads = session.row.misleads || session.row.told_at <= session.row.written_at;
  }
  // Park is called when the log has the stanza.
  if (session.phase() == SessionPhase::kParking) live_.Enter(session, SessionPhase::kAway);
}

void SessionParker::OnBackRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionBack& back = pending.record.session_back();
  const auto session = table_.Find(SessionId(back.session_id()));
  live_.EndedOf(shard).AddBack(SessionId(back.session_id()), back.resumptions(), clock_.Now());
  if (!session || session->user->shard != &shard || session->user->bare != xmpp::BareOf(back.full_jid()))
    return;
  ParkedRow& row = session->row;
  row.told_at = std::max(row.told_at, pending.offset);
  row.told_resumptions = std::max(row.told_resumptions, back.resumptions());
  if (pending.recovering && pending.offset > row.written_at) row.misleads = false;
  // A row that shows the session as it is was written after this record: nothing is outdated.
  if (!(row.is_source ? pending.offset > row.written_at : MayMislead(*session))) return;
  shard.window.Hold(pending.offset);
  ReleaseBackRecord(shard, *session);
  row.held = pending.offset;
  OnPhase(*session);
}

void SessionParker::OnFinishedBackRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionBack& back = pending.record.session_back();
  const SessionId id(back.session_id());
  live_.EndedOf(shard).AddBack(id, back.resumptions(), clock_.Now());
  const auto session = table_.Find(id);
  if (!session || session->user->shard != &shard) return;
  session->row.told_resumptions = std::max(session->row.told_resumptions, back.resumptions());
}

void SessionParker::ReleaseBackRecord(Shard& shard, Session& session) {
  if (session.row.held >= 0) shard.window.Release(std::exchange(session.row.held, -1));
}

Task<void> SessionParker::RemoveRows(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const bool may_have_rows = session->row.content != ParkedRow::Content::kNone || session->has_rows ||
                             session->is_resumable() || session->row.is_busy;
  if (session->row.is_busy) {
    // The row that is being written must not outlive the session.
    const std::shared_ptr<runtime::Event> at_rest = EventOf(session->MakeRare().row_at_rest);
    co_await at_rest->Wait();
  }
  co_await AwaitEndWrites(executor_, session);
  if (may_have_rows) {
    WaitingStore::SessionKey key{std::string(session->jid.bare()), session->id.str()};
    (void)co_await states_.WriterOf(*shard).RemoveSession(std::move(key));
  }
  ReleaseBackRecord(*shard, *session);
}

// ---- from the store ---------------------------------------------------------

void SessionParker::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  const SessionId id(parked.key.session);
  const session::v1::SessionAttach& attach = parked.attach;
  if (const auto known = table_.Find(id)) {
    if (StateOf(attach).resumptions() <= known->state.resumptions()) {
      known->row.content = ParkedRow::Content::kOutdated;
      known->row.is_fresh = true;
      known->row.written_at = ParkedAt(attach);
      // Its gateway may not have heard of all that is in the log, and sends it again (SL16). None of it is
      // taken before the shard is live.
      if (attach.confirmed_count() > known->inbound.confirmed() && known->inbound.is_all_confirmed())
        known->inbound.Reset(attach.confirmed_count());
      OnPhase(*known);
      return;
    }
    // A gateway has attached what its client had left before the row was written.
    if (known->gateway != nullptr) AddAction(*known).mutable_ended()->set_condition("conflict");
    live_.Retire(known);
  }
  auto session = std::make_shared<Session>();
  session->id = id;
  session->jid = xmpp::Jid::FromTrusted(attach.full_jid());
  Adopt(*session, attach, clock_.Now());
  session->BeginAs(SessionPhase::kParked, clock_.Now());
  session->row.content = ParkedRow::Content::kCurrent;
  session->row.is_fresh = session->row.is_source = true;
  session->row.written_at = ParkedAt(attach);
  // One whose time is over ends when the shard is live: what its client has not had goes elsewhere.
  const auto resume_timeout = settings_.resume_timeout;
  const auto left = std::clamp(parked.left, std::chrono::milliseconds(-1), resume_timeout);
  session->detached_since -= resume_timeout - left;
  live_.Add(shard.GetUser(parked.key.owner), session);
  NoteLate(*session, /*by_us=*/false, /*by_another=*/false);
  directory_.Changed(*session);
  listener_->OnRestored(*session);
}

}  // namespace rookery::session_manager
