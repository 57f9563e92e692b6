#include "domain/session_parker.h"

#include <algorithm>

#include "domain/deliverer.h"
#include "domain/directory_writer.h"
#include "domain/link_actions.h"
#include "domain/offline_messages.h"
#include "domain/session_keeper.h"
#include "domain/session_snapshot.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

// ---- to the store -----------------------------------------------------------

void SessionParker::Park(const std::shared_ptr<Session>& session) {
  if (!session->resume || session->ended || session->user->shard->suspended) return;
  if (session->parked) {
    if (session->park_wanted && session->gateway != nullptr) {
      AddAction(*session).mutable_parked();
      session->park_wanted = false;
      session->gateway = nullptr;
    }
    return;
  }
  // What was received must be in the log first: the snapshot says how much arrived.
  if (session->park_in_flight || session->inbound.received() != session->inbound.confirmed())
    return;  // Sweep comes again
  session->park_in_flight = true;
  session->has_old_row = true;
  core_.tasks().Spawn("session.park", ParkTask(core_.SharedShard(session->user->shard->number), session));
}

Task<void> SessionParker::ParkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const SteadyTime since = session->detached_since;
  WaitingStore::ParkedSession parked;
  parked.owner = session->user->bare;
  parked.session = session->id.str();
  parked.expires_at_ms = core_.clock().UnixMillisNow() + core_.settings().resume_timeout.count();
  parked.attach = SnapshotOf(*session);
  parked.attach.set_detached(true);
  const absl::Status stored = co_await core_.ports().waiting.Park(shard->number, std::move(parked));
  session->park_in_flight = false;
  if (shard->released()) co_return;
  if (session->ended) {
    // The row must not outlive that.
    OfflineMessages::AfterWrites(*session, [this, owner = std::string(session->jid.bare()),
                                            id = session->id.str()] { RemoveStored(owner, id); });
    co_return;
  }
  if (!session->detached) {
    // Its client was quicker.
    if (!session->is_handed_over) Unpark(session);
    co_return;
  }
  if (session->detached_since != since) {
    // It was back and is away again: the row is of the first time.
    Park(session);
    co_return;
  }
  if (!stored.ok()) {
    telemetry::LogWarn("session.park_failed", {{"error", Message(stored)}});
    co_return;  // Sweep tries again
  }
  session->parked = true;
  Park(session);  // tells the gateway
}

void SessionParker::Unpark(const std::shared_ptr<Session>& session) {
  session->parked = false;
  // One write at a time: the store must not take this one for newer than the next.
  if (!session->has_old_row || session->park_in_flight) return;
  session->park_in_flight = true;
  core_.tasks().Spawn("session.unpark", UnparkTask(core_.SharedShard(session->user->shard->number), session));
}

void SessionParker::RemoveStored(std::string owner, std::string id) {
  core_.tasks().Spawn("session.remove_stored", RemoveStoredTask(std::move(owner), std::move(id)));
}

Task<void> SessionParker::RemoveStoredTask(std::string owner, std::string id) {
  // The next owner takes rows that stay behind for a session that waits.
  for (int attempt = 0; attempt < 3'600; ++attempt) {
    const absl::Status removed = co_await core_.ports().waiting.RemoveSession(owner, id);
    if (removed.ok()) co_return;
    co_await runtime::Sleep(std::chrono::seconds(1));
  }
}

Task<void> SessionParker::UnparkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const absl::Status removed =
      co_await core_.ports().waiting.Unpark(std::string(session->jid.bare()), session->id.str());
  session->park_in_flight = false;
  if (shard->released() || session->ended) co_return;
  if (removed.ok()) session->has_old_row = false;
  if (session->detached) Park(session);
}

// ---- from the store ---------------------------------------------------------

void SessionParker::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  const SessionId id(parked.session);
  const session::v1::SessionAttach& attach = parked.attach;
  if (const auto known = core_.FindSession(id)) {
    if (ResumptionsOf(attach) <= known->state.resumptions()) {
      known->has_old_row = true;
      return;
    }
    // A gateway has attached what its client had left before the row was written.
    if (known->gateway != nullptr) AddAction(*known).mutable_ended()->set_condition("conflict");
    core_.sessions().Retire(known);
  }
  User& user = core_.GetUser(shard, parked.owner);
  auto session = std::make_shared<Session>();
  session->id = id;
  session->user = &user;
  session->jid = xmpp::Jid::FromTrusted(attach.full_jid());
  Adopt(*session, attach, core_.clock().Now());
  session->detached = true;
  // One whose time is over ends at the next sweep: what its client has not had goes elsewhere.
  const auto resume_timeout = core_.settings().resume_timeout;
  const auto left =
      std::clamp(std::chrono::milliseconds(parked.expires_at_ms - core_.clock().UnixMillisNow()),
                 std::chrono::milliseconds(-1), resume_timeout);
  session->detached_since -= resume_timeout - left;
  session->parked = true;
  session->has_old_row = true;
  user.sessions.push_back(session);
  core_.directory().Changed(*session);
  core_.sessions_by_id().emplace(id, std::move(session));
}

void SessionParker::RestorePacket(Shard& shard, WaitingStore::Shard::Packet row) {
  const auto session = core_.FindSession(SessionId(row.session));
  if (!session || session->user->shard != &shard) return;
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
