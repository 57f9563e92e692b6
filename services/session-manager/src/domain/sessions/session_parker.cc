#include "domain/sessions/session_parker.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "domain/delivery/offline_messages.h"
#include "domain/sessions/directory_writer.h"
#include "domain/sessions/link_actions.h"
#include "domain/sessions/session_keeper.h"
#include "domain/sessions/session_snapshot.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr BackoffOptions kStoreBackoff{.first = std::chrono::milliseconds(100),
                                       .max = std::chrono::milliseconds(5'000)};

}  // namespace

// ---- to the store -----------------------------------------------------------

void SessionParker::Park(const std::shared_ptr<Session>& session) {
  // RunWaiting comes when it is.
  if (!session->user->shard->live()) return;
  switch (session->phase()) {
    case SessionPhase::kLinkLost:
    case SessionPhase::kAway:
      // What was received must be in the log first: the row says how much arrived.
      if (session->is_resumable() && session->inbound.is_all_confirmed())
        core_.sessions().Enter(*session, SessionPhase::kParking);
      break;
    case SessionPhase::kParked:
      if (session->gateway == nullptr) break;
      AddAction(*session).mutable_parked();
      core_.sessions().SetGateway(*session, nullptr);
      break;
    default:
      break;
  }
}

bool SessionParker::IsRowDue(const Session& session) {
  if (session.phase() == SessionPhase::kParking) return true;
  // Its client is back, and the gateway that it has come to knows the session for certain.
  return session.phase() == SessionPhase::kConnected && session.row.content != ParkedRow::Content::kNone;
}

void SessionParker::OnPhase(const Session& session) {
  if (session.row.is_busy || !IsRowDue(session)) return;
  auto shared = core_.FindSession(session.id);
  shared->row.is_busy = true;
  core_.tasks().Spawn("session.keep_row", KeepRow(core_.SharedShard(session.user->shard->number), shared));
}

Task<void> SessionParker::KeepRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  // Never within the move that made the row due: its caller is not done with the session.
  co_await asio::post(core_.executor(), asio::use_awaitable);
  runtime::Backoff backoff(kStoreBackoff);
  while (!shard->released() && IsRowDue(*session)) {
    const bool is_away = session->phase() == SessionPhase::kParking;
    absl::Status written;
    if (is_away) {
      written = co_await WriteRow(shard, session);
    } else {
      WaitingStore::SessionKey key{std::string(session->jid.bare()), session->id.str()};
      written = co_await core_.offline().WriterOf(*shard).Unpark(std::move(key));
      if (written.ok()) session->row.content = ParkedRow::Content::kNone;
    }
    if (written.ok()) {
      backoff.Reset();
      continue;
    }
    telemetry::LogWarn("session.park_failed", {{"error", Message(written)}});
    co_await backoff.Wait();
  }
  session->row.is_busy = false;
  if (!shard->released() && session->ended && session->end_writes) session->end_writes->Finish();
}

Task<absl::Status> SessionParker::WriteRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const SteadyTime since = session->detached_since;
  session->row.content = ParkedRow::Content::kOutdated;
  WaitingStore::ParkedSession row;
  row.key = {session->user->bare, session->id.str()};
  row.expires_at_ms = core_.clock().UnixMillisNow() + core_.settings().resume_timeout.count();
  row.attach = SnapshotOf(*session);
  row.attach.set_detached(true);
  const absl::Status written = co_await core_.offline().WriterOf(*shard).Park(std::move(row));
  // It may have been back meanwhile: the row is of the first time then.
  const bool is_same = session->phase() == SessionPhase::kParking && session->detached_since == since;
  if (!written.ok() || shard->released() || !is_same) co_return written;
  session->row.content = ParkedRow::Content::kCurrent;
  core_.sessions().Enter(*session, SessionPhase::kParked);
  Park(session);  // tells the gateway
  co_return written;
}

void SessionParker::RemoveRows(const std::shared_ptr<Shard>& shard, const std::shared_ptr<Session>& session,
                               std::function<void()> done) {
  const bool may_have_rows = session->row.content != ParkedRow::Content::kNone || session->has_rows ||
                             session->is_resumable() || session->row.is_busy;
  if (session->row.is_busy) {
    // The row that is being written must not outlive the session.
    ++session->EndWritesOf()->open;
  }
  OfflineMessages::AfterWrites(*session, [this, shard, session, may_have_rows, done = std::move(done)] {
    if (!may_have_rows) {
      done();
      return;
    }
    WaitingStore::SessionKey key{std::string(session->jid.bare()), session->id.str()};
    core_.offline().WriterOf(*shard).RemoveSession(std::move(key), [done](const StoreWriter::Answer& answer) {
      if (!absl::IsCancelled(answer.status)) done();
    });
  });
}

// ---- from the store ---------------------------------------------------------

void SessionParker::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  const SessionId id(parked.key.session);
  const session::v1::SessionAttach& attach = parked.attach;
  if (const auto known = core_.FindSession(id)) {
    if (StateOf(attach).resumptions() <= known->state.resumptions()) {
      known->row.content = ParkedRow::Content::kOutdated;
      OnPhase(*known);
      return;
    }
    // A gateway has attached what its client had left before the row was written.
    if (known->gateway != nullptr) AddAction(*known).mutable_ended()->set_condition("conflict");
    core_.sessions().Retire(known);
  }
  auto session = std::make_shared<Session>();
  session->id = id;
  session->jid = xmpp::Jid::FromTrusted(attach.full_jid());
  Adopt(*session, attach, core_.clock().Now());
  session->BeginAs(SessionPhase::kParked, core_.clock().Now());
  session->row.content = ParkedRow::Content::kCurrent;
  // One whose time is over ends when the shard is live: what its client has not had goes elsewhere.
  const auto resume_timeout = core_.settings().resume_timeout;
  const auto left =
      std::clamp(std::chrono::milliseconds(parked.expires_at_ms - core_.clock().UnixMillisNow()),
                 std::chrono::milliseconds(-1), resume_timeout);
  session->detached_since -= resume_timeout - left;
  core_.sessions().Add(core_.GetUser(shard, parked.key.owner), session);
  core_.directory().Changed(*session);
}

}  // namespace rookery::session_manager
