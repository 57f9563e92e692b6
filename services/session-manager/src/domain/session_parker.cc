#include "domain/session_parker.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "domain/deliverer.h"
#include "domain/directory_writer.h"
#include "domain/link_actions.h"
#include "domain/offline_messages.h"
#include "domain/session_keeper.h"
#include "domain/session_snapshot.h"
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
      written = co_await core_.ports().waiting.Unpark(std::string(session->jid.bare()), session->id.str());
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
  row.owner = session->user->bare;
  row.session = session->id.str();
  row.expires_at_ms = core_.clock().UnixMillisNow() + core_.settings().resume_timeout.count();
  row.attach = SnapshotOf(*session);
  row.attach.set_detached(true);
  const absl::Status written = co_await core_.ports().waiting.Park(shard->number, std::move(row));
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
    if (!session->end_writes) session->end_writes = std::make_shared<EndWrites>();
    ++session->end_writes->open;
  }
  OfflineMessages::AfterWrites(*session, [this, shard, session, may_have_rows, done = std::move(done)] {
    if (may_have_rows) {
      core_.tasks().Spawn("session.remove_rows", RemoveRowsTask(shard, session, done));
    } else {
      done();
    }
  });
}

Task<void> SessionParker::RemoveRowsTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                         std::function<void()> done) {
  runtime::Backoff backoff(kStoreBackoff);
  while (!shard->released()) {
    const absl::Status removed =
        co_await core_.ports().waiting.RemoveSession(std::string(session->jid.bare()), session->id.str());
    if (shard->released()) co_return;
    if (removed.ok()) {
      done();
      co_return;
    }
    telemetry::LogWarn("session.remove_failed", {{"error", Message(removed)}});
    co_await backoff.Wait();
  }
}

// ---- from the store ---------------------------------------------------------

void SessionParker::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  const SessionId id(parked.session);
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
  core_.sessions().Add(core_.GetUser(shard, parked.owner), session);
  core_.directory().Changed(*session);
}

void SessionParker::RestorePacket(Shard& shard, WaitingStore::Shard::Packet row) {
  const auto session = core_.FindSession(SessionId(row.session));
  if (!session || session->user->shard != &shard) return;
  session->has_rows = true;
  WaitingStore::SessionPacket& stored = row.packet;
  if (stored.seq <= session->acked_seq) return;
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&stored.stanza);
  delivery->offset = stored.offset;
  delivery->stored_id = stored.offline_id;
  delivery->received_at_ms = stored.received_at_ms;
  delivery->to_each = stored.to_each;
  if (stored.primary) delivery->open_targets = 1;
  for (UnackedPacket& packet : session->unacked) {
    if (packet.seq != stored.seq) continue;
    if (packet.delivery == nullptr) packet.delivery = std::move(delivery);
    packet.stored = true;
    packet.primary = stored.primary;
    return;
  }
  if (stored.seq != session->last_seq + 1) return;  // given before the snapshot and acknowledged since
  UnackedPacket packet;
  packet.seq = stored.seq;
  packet.offset = stored.offset;
  packet.stored_id = stored.offline_id;
  packet.delivery = std::move(delivery);
  packet.since = core_.clock().Now();
  packet.primary = stored.primary;
  packet.stored = true;
  session->last_seq = stored.seq;
  session->last_offset = std::max(session->last_offset, stored.offset);
  session->unacked.push_back(std::move(packet));
  // Stored by the last owner, never given to the gateway.
  if (session->gateway != nullptr && !session->detached)
    (void)core_.deliverer().Resend(*session, stored.seq - 1);
}

}  // namespace rookery::session_manager
