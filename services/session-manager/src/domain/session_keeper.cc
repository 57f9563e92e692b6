#include "domain/session_keeper.h"

#include <boost/asio/post.hpp>

#include "domain/client_stanza_processor.h"
#include "domain/deliverer.h"
#include "domain/presence_tracker.h"
#include "domain/shard_keeper.h"
#include "domain/subscription_handler.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

namespace {

constexpr std::size_t kMaxWaitingActions = 200'000;
constexpr std::size_t kMaxEndedSessions = 20'000;

/// Only what concerns one existing session may be used before the shard is live.
bool IsAttachment(const GatewayAction& action) { return action.has_attach() || action.has_attach_done(); }

void SetFailure(session::v1::Failure& failure, xmpp::ErrorCondition condition, std::string_view text,
                bool temporary = false) {
  failure.set_condition(std::string(xmpp::Name(condition)));
  failure.set_text(std::string(text));
  failure.set_temporary(temporary);
}

void SetFailure(session::v1::Failure& failure, const absl::Status& status) {
  SetFailure(failure, xmpp::ConditionOf(status), Message(status),
             absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
                 absl::IsResourceExhausted(status) || absl::IsAborted(status));
}

/// Where h counts on from: what is acknowledged, or where stream management began.
std::uint64_t FloorOf(const Session& session) { return std::max(session.acked_seq, session.base_seq); }

/// h counts modulo 2^32 from base_seq: how many packets after FloorOf it newly covers.
std::uint32_t NewlyHandled(const Session& session, std::uint32_t h) {
  return h - static_cast<std::uint32_t>(FloorOf(session) - session.base_seq);
}

}  // namespace

// ---- links ------------------------------------------------------------------

GatewayPeer* SessionKeeper::FindGateway(const std::string& instance) {
  auto it = gateways_.find(instance);
  return it == gateways_.end() ? nullptr : it->second;
}

SessionManagerAction& SessionKeeper::AddFor(GatewayPeer& gateway, const SessionId& id, const Shard& shard) {
  SessionManagerAction& action = gateway.Add();
  action.set_session_id(id.view().data(), SessionId::kSize);
  action.set_shard(shard.number);
  action.set_epoch(shard.epoch);
  return action;
}

SessionManagerAction& SessionKeeper::AddFor(Session& session) {
  return AddFor(*session.gateway, session.id, *session.user->shard);
}

void SessionKeeper::OnGatewayLinked(GatewayPeer& gateway) {
  // A gateway that has given up a link may be back before we hear that the link is gone: its
  // sessions must not be taken for those of another gateway.
  if (GatewayPeer* old = FindGateway(gateway.instance()); old != nullptr && old != &gateway)
    OnGatewayLost(*old);
  gateways_[gateway.instance()] = &gateway;
  core_.metrics().gateways.Set(static_cast<double>(gateways_.size()));
  auto& hello = *gateway.Add().mutable_hello();
  hello.set_instance(core_.settings().instance);
  hello.set_shard_count(core_.shard_count());
  for (const auto& shard : core_.all_shards()) {
    if (!shard || shard->epoch < 0 || shard->released()) continue;
    auto& owned = *hello.add_shards();
    owned.set_shard(shard->number);
    owned.set_epoch(shard->epoch);
  }
}

void SessionKeeper::OnGatewayLost(GatewayPeer& gateway) {
  // A process that was frozen finds its links broken: it must not judge by that.
  core_.shards().NoteTime();
  auto it = gateways_.find(gateway.instance());
  const bool replaced = it == gateways_.end() || it->second != &gateway;
  if (!replaced) gateways_.erase(it);
  core_.metrics().gateways.Set(static_cast<double>(gateways_.size()));
  std::vector<std::shared_ptr<Session>> lost;
  for (auto& [id, session] : core_.sessions_by_id())
    if (session->gateway == &gateway) lost.push_back(session);
  for (const auto& session : lost) {
    session->gateway = nullptr;
    // The gateway may be alive and link again: a session without resumption has
    // link_grace to be attached again, then Sweep ends it.
    Detach(session);
  }
  for (const auto& shard : core_.all_shards()) {
    if (!shard) continue;
    if (!replaced) shard->attached_gateways.erase(gateway.instance());
    std::erase_if(shard->waiting,
                  [&](const auto& waiting) { return !replaced && waiting.gateway == gateway.instance(); });
  }
}

std::uint32_t SessionKeeper::ShardNumberFor(const GatewayAction& action) const {
  std::string_view user;
  switch (action.action_case()) {
    case GatewayAction::kStart:
      user = action.start().user();
      break;
    case GatewayAction::kResume:
      user = action.resume().user();
      break;
    case GatewayAction::kAttach:
      user = xmpp::BareOf(action.attach().full_jid());
      break;
    case GatewayAction::kCreate:
      user = action.create().user();
      break;
    case GatewayAction::kDelete:
      user = action.delete_().user();
      break;
    case GatewayAction::kCredentialsLookup:
      user = action.credentials_lookup().user();
      break;
    default:
      return ~0u;
  }
  return core_.ShardNumberOf(user);
}

void SessionKeeper::OnAction(GatewayPeer& gateway, GatewayAction action) {
  core_.shards().NoteTime();
  if (action.has_attach_done()) {
    AttachDone(gateway, action.attach_done());
    return;
  }
  if (action.has_credentials_lookup()) {
    // Any session-manager can read keys: sign-in goes on while shards move.
    core_.tasks().Spawn(
        "credentials.look_up",
        LookUpCredentials(gateway.instance(), std::move(*action.mutable_credentials_lookup())));
    return;
  }
  if (action.has_create()) {
    core_.tasks().Spawn("account.create", Create(gateway.instance(), std::move(*action.mutable_create())));
    return;
  }
  if (action.has_delete_()) {
    core_.tasks().Spawn("account.delete", Delete(gateway.instance(), std::move(*action.mutable_delete_())));
    return;
  }

  Shard* shard = nullptr;
  std::uint32_t number = ShardNumberFor(action);
  if (number == ~0u) {
    // Of a session that was started, resumed or attached before, or whose attachment still waits.
    const auto session = core_.FindSession(SessionId(action.session_id()));
    // Ended here, or its shard has just gone to another owner: there the gateway attaches it and
    // says this again. It must not take our ignorance for the end of the session.
    if (!session) return;
    shard = session->user->shard;
  } else {
    shard = core_.FindShard(number);
  }
  if (shard == nullptr || shard->released() || (shard->epoch < 0 && !IsAttachment(action))) {
    RefuseNotOwner(gateway, action, number);
    return;
  }
  if (!shard->live() && !action.has_attach()) {
    if (shard->waiting.size() >= kMaxWaitingActions) {
      telemetry::LogWarn("shard.waiting_full", {{"shard", shard->number}});
      RefuseNotOwner(gateway, action, number);
      return;
    }
    shard->waiting.push_back({gateway.instance(), std::move(action)});
    return;
  }
  switch (action.action_case()) {
    case GatewayAction::kStart:
      Start(gateway, action, *shard);
      break;
    case GatewayAction::kResume:
      Resume(gateway, action, *shard);
      break;
    case GatewayAction::kAttach:
      Attach(gateway, action, *shard);
      break;
    case GatewayAction::kEnd:
      OnEnd(gateway, action);
      break;
    case GatewayAction::kStanza:
      OnStanza(gateway, action);
      break;
    case GatewayAction::kDelivered: {
      const auto session = core_.FindSession(SessionId(action.session_id()));
      if (session && session->gateway == &gateway)
        core_.deliverer().Acknowledge(*session, action.delivered().seq());
      break;
    }
    case GatewayAction::kStreamManagementEnable: {
      const auto session = core_.FindSession(SessionId(action.session_id()));
      if (!session || session->gateway != &gateway) break;
      session->stream_management = true;
      session->resume = action.stream_management_enable().resume();
      session->base_seq = action.stream_management_enable().base_seq();
      break;
    }
    default:
      break;
  }
}

void SessionKeeper::RunWaiting(Shard& shard) {
  // Taken out first: what runs may add.
  std::deque<Shard::WaitingAction> waiting = std::move(shard.waiting);
  shard.waiting.clear();
  for (Shard::WaitingAction& entry : waiting) {
    if (GatewayPeer* gateway = FindGateway(entry.gateway)) OnAction(*gateway, std::move(entry.action));
  }
}

void SessionKeeper::RefuseNotOwner(GatewayPeer& gateway, const GatewayAction& action, std::uint32_t number) {
  SessionManagerAction& reply = gateway.Add();
  reply.set_session_id(action.session_id());
  reply.set_shard(number);
  // Not ours: no epoch to compare with.
  reply.set_epoch(std::numeric_limits<std::int64_t>::max());
  switch (action.action_case()) {
    case GatewayAction::kStart:
      reply.mutable_started()->mutable_failure()->set_not_owner(true);
      break;
    case GatewayAction::kResume:
      reply.mutable_resumed()->set_attempt(action.resume().attempt());
      reply.mutable_resumed()->mutable_failure()->set_not_owner(true);
      break;
    case GatewayAction::kAttach:
    default:
      reply.mutable_attached()->mutable_failure()->set_not_owner(true);
      break;
  }
}

// ---- start ------------------------------------------------------------------

void SessionKeeper::Start(GatewayPeer& gateway, const GatewayAction& action, Shard& shard) {
  const SessionId id(action.session_id());
  const auto& request = action.start();
  if (const auto existing = core_.FindSession(id)) {
    // Sent again after a broken link: the answer was lost.
    if (existing->user->bare == request.user()) {
      existing->gateway = &gateway;
      existing->detached = false;
      AddFor(*existing).mutable_started()->set_full_jid(std::string(existing->jid.str()));
    } else {
      SetFailure(*AddFor(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kConflict, "the session's name is taken");
    }
    return;
  }
  User& user = core_.GetUser(shard, request.user());
  if (static_cast<std::int64_t>(user.sessions.size()) >= core_.settings().max_sessions_per_user &&
      (request.resource().empty() || user.FindResource(request.resource()) == nullptr)) {
    SetFailure(*AddFor(gateway, id, shard).mutable_started()->mutable_failure(),
               xmpp::ErrorCondition::kResourceConstraint, "too many sessions");
    core_.MaybeForget(user);
    return;
  }
  std::string resource = request.resource();
  if (resource.empty()) {
    resource = RandomToken(9);
  } else if (Session* old = user.FindResource(resource)) {
    // RFC 6120 section 7.7.2.2: the newer wins.
    End(core_.FindSession(old->id), "conflict", "replaced by a new session");
  }
  // Ending the old session may have dropped the user's entry.
  User& owner = core_.GetUser(shard, request.user());
  auto session = std::make_shared<Session>();
  session->id = id;
  session->user = &owner;
  session->jid = xmpp::Jid::FromTrusted(request.user() + "/" + resource);
  session->gateway = &gateway;
  session->state.set_start_offset(shard.window.next_offset() - 1);
  session->last_offset = session->state.start_offset();
  owner.sessions.push_back(session);
  core_.sessions_by_id().emplace(id, session);
  core_.metrics().sessions_started.Increment();
  AddFor(*session).mutable_started()->set_full_jid(std::string(session->jid.str()));
  PublishState(*session);
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("session.started",
                        {{"user", telemetry::HashedJid(owner.bare)}, {"shard", shard.number}});
}

void SessionKeeper::PublishState(Session& session) {
  if (session.gateway == nullptr || session.ended) return;
  AddFor(session).mutable_state()->set_state(session.state.SerializeAsString());
}

// ---- stanzas of the client --------------------------------------------------

void SessionKeeper::OnStanza(GatewayPeer& gateway, GatewayAction& action) {
  const auto session = core_.FindSession(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway || session->ended) return;
  session::v1::ClientStanza& stanza = *action.mutable_stanza();
  if (stanza.count() <= session->inbound.received()) {
    // Sent again after a new link: the confirmation was lost or is still to come.
    core_.metrics().duplicates_refused.Increment();
    ConfirmLater(session);
    return;
  }
  if (stanza.count() != session->inbound.received() + 1) {
    // A gap can only come from a fault of ours: the stream cannot go on.
    telemetry::LogError("session.count_gap",
                        {{"expected", session->inbound.received() + 1}, {"got", stanza.count()}});
    End(session, "internal-server-error");
    return;
  }
  session->inbound.Receive();
  core_.metrics().stanzas_received.Increment();
  if (session->inbound_busy) {
    if (!session->inbound_queue)
      session->inbound_queue = std::make_unique<std::deque<session::v1::ClientStanza>>();
    session->inbound_queue->push_back(std::move(stanza));
    return;
  }
  core_.client_stanzas().Process(session, stanza);
}

void SessionKeeper::NextInbound(const std::shared_ptr<Session>& session) {
  session->inbound_busy = false;
  while (!session->inbound_busy && session->inbound_queue && !session->ended) {
    session::v1::ClientStanza stanza = std::move(session->inbound_queue->front());
    session->inbound_queue->pop_front();
    if (session->inbound_queue->empty()) session->inbound_queue.reset();
    core_.client_stanzas().Process(session, stanza);
  }
}

void SessionKeeper::FinishInbound(const std::shared_ptr<Session>& session, std::uint64_t count) {
  if (!session->inbound.Close(count)) return;
  ConfirmLater(session);
  if (!session->closing || session->inbound.received() != session->inbound.confirmed()) return;
  // Not from within the handling of its last stanza.
  asio::post(core_.executor(), [this, session] {
    if (!session->ended) End(session, {});
  });
}

void SessionKeeper::ConfirmLater(const std::shared_ptr<Session>& session) {
  if (session->confirm_due) return;
  session->confirm_due = true;
  to_confirm_.push_back(session);
  if (confirm_posted_) return;
  confirm_posted_ = true;
  asio::post(core_.executor(), [this] { SendConfirms(); });
}

void SessionKeeper::SendConfirms() {
  confirm_posted_ = false;
  for (const auto& session : std::exchange(to_confirm_, {})) {
    session->confirm_due = false;
    if (session->ended || session->gateway == nullptr) continue;
    AddFor(*session).mutable_confirmed()->set_count(session->inbound.confirmed());
  }
}

// ---- end --------------------------------------------------------------------

void SessionKeeper::OnEnd(GatewayPeer& gateway, const GatewayAction& action) {
  const auto session = core_.FindSession(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway) {
    // Replaced or resumed elsewhere: over for this gateway.
    if (session) AddFor(gateway, session->id, *session->user->shard).mutable_ended();
    return;
  }
  if (action.end().reason() == session::v1::END_REASON_CONNECTION_LOST && session->resume) {
    session->park_wanted = true;
    Detach(session);
    return;
  }
  if (session->inbound.received() != session->inbound.confirmed()) {
    // Until the log has everything that the client sent before it closed, the gateway keeps it:
    // FinishInbound ends the session.
    session->closing = true;
    return;
  }
  End(session, {});
}

void SessionKeeper::Detach(const std::shared_ptr<Session>& session) {
  if (session->detached) {
    Park(session);
    return;
  }
  session->detached = true;
  session->detached_since = core_.clock().Now();
  if (session->resume) Park(session);
}

void SessionKeeper::End(const std::shared_ptr<Session>& session, std::string_view condition,
                        std::string_view text) {
  if (!session || session->ended) return;
  if (session->gateway != nullptr) {
    auto& ended = *AddFor(*session).mutable_ended();
    ended.set_condition(std::string(condition));
    ended.set_text(std::string(text));
  }
  Remove(session);
}

void SessionKeeper::EndAll(User& user, std::string_view condition, const Session* except) {
  const std::vector<std::shared_ptr<Session>> sessions = user.sessions;
  for (const auto& session : sessions)
    if (session.get() != except) End(session, condition);
}

void SessionKeeper::EndOverflowing(Session& session) {
  if (session.ended) return;
  // Not from within delivery, which walks the user's sessions.
  asio::post(core_.executor(), [this, shared = core_.FindSession(session.id)] {
    if (!shared || shared->ended || shared->user->shard->released()) return;
    telemetry::LogInfo("session.overflow",
                       {{"packets", shared->unacked.size()}, {"detached", shared->detached}});
    End(shared, "policy-violation", "too many unacknowledged stanzas");
  });
}

void SessionKeeper::Remove(const std::shared_ptr<Session>& session) {
  User& user = *session->user;
  Shard& shard = *user.shard;
  const std::string bare = user.bare;
  session->ended = true;
  core_.metrics().sessions_ended.Increment();
  core_.sessions_by_id().erase(session->id);
  if (session->stream_management) {
    ended_.emplace_back(session->id, std::pair(bare, session->inbound.received()));
    if (ended_.size() > kMaxEndedSessions) ended_.pop_front();
  }
  std::erase_if(user.sessions, [&](const auto& other) { return other == session; });
  core_.presence().OnSessionEnd(user, *session);
  core_.deliverer().Abandon(user, std::exchange(session->unacked, {}));
  session->gateway = nullptr;
  if (session->parked || session->park_in_flight || session->resume)
    core_.tasks().Spawn("session.remove_stored", RemoveStored(bare, session->id.str()));
  session->inbound_queue.reset();
  if (!user.HasAvailable()) user.contacts.reset();
  core_.MaybeForget(user);
  (void)shard;
}

Task<void> SessionKeeper::RemoveStored(std::string owner, std::string id) {
  // Rows that stay behind expire: they name a session that nobody can resume.
  for (int attempt = 0; attempt < 60; ++attempt) {
    const absl::Status removed = co_await core_.ports().waiting.RemoveSession(owner, id);
    if (removed.ok()) co_return;
    co_await runtime::Sleep(std::chrono::seconds(1));
  }
}

// ---- parked sessions --------------------------------------------------------

void SessionKeeper::Park(const std::shared_ptr<Session>& session) {
  if (!session->resume || session->ended || session->user->shard->suspended) return;
  if (session->parked) {
    if (session->park_wanted && session->gateway != nullptr) {
      AddFor(*session).mutable_parked();
      session->park_wanted = false;
      session->gateway = nullptr;
    }
    return;
  }
  // What was received must be in the log first: the snapshot says how much arrived.
  if (session->park_in_flight || session->inbound.received() != session->inbound.confirmed())
    return;  // Sweep comes again
  session->park_in_flight = true;
  core_.tasks().Spawn("session.park", ParkTask(core_.SharedShard(session->user->shard->number), session));
}

Task<void> SessionKeeper::ParkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  WaitingStore::ParkedSession parked;
  parked.owner = session->user->bare;
  parked.session = session->id.str();
  parked.expires_at_ms = core_.clock().UnixMillisNow() + core_.settings().resume_timeout.count();
  session::v1::SessionAttach& attach = parked.attach;
  attach.set_full_jid(std::string(session->jid.str()));
  attach.set_confirmed_count(session->inbound.confirmed());
  attach.set_last_seq(session->last_seq);
  attach.set_acked_seq(session->acked_seq);
  attach.set_last_offset(session->last_offset);
  for (const UnackedPacket& packet : session->unacked) {
    auto& unacked = *attach.add_unacked();
    unacked.set_seq(packet.seq);
    unacked.set_offset(packet.offset);
    unacked.set_stored_id(packet.stored_id);
    if (packet.offset < 0 && packet.delivery) *unacked.mutable_stanza() = packet.delivery->stanza;
  }
  attach.set_stream_management(session->stream_management);
  attach.set_resume(session->resume);
  attach.set_base_seq(session->base_seq);
  attach.set_detached(true);
  attach.set_state(session->state.SerializeAsString());
  const absl::Status stored = co_await core_.ports().waiting.Park(shard->number, std::move(parked));
  session->park_in_flight = false;
  if (shard->released()) co_return;
  if (session->ended || !session->detached) {
    // Resumed or ended meanwhile: the row must not outlive that.
    if (!session->ended) {
      (void)co_await core_.ports().waiting.Unpark(session->user->bare, session->id.str());
    } else {
      core_.tasks().Spawn("session.remove_stored",
                          RemoveStored(std::string(session->jid.bare()), session->id.str()));
    }
    co_return;
  }
  if (!stored.ok()) {
    telemetry::LogWarn("session.park_failed", {{"error", Message(stored)}});
    co_return;  // Sweep tries again
  }
  session->parked = true;
  Park(session);  // tells the gateway
}

void SessionKeeper::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  const SessionId id(parked.session);
  if (core_.FindSession(id) || parked.expires_at_ms < core_.clock().UnixMillisNow()) {
    if (!core_.FindSession(id))
      core_.tasks().Spawn("session.remove_stored", RemoveStored(parked.owner, parked.session));
    return;
  }
  User& user = core_.GetUser(shard, parked.owner);
  auto session = std::make_shared<Session>();
  const session::v1::SessionAttach& attach = parked.attach;
  session->id = id;
  session->user = &user;
  session->jid = xmpp::Jid::FromTrusted(attach.full_jid());
  session->detached = true;
  session->detached_since = core_.clock().Now();
  session->parked = true;
  session->inbound.Reset(attach.confirmed_count());
  session->last_seq = attach.last_seq();
  session->acked_seq = attach.acked_seq();
  session->last_offset = attach.last_offset();
  session->base_seq = attach.base_seq();
  session->stream_management = attach.stream_management();
  session->resume = attach.resume();
  (void)session->state.ParseFromString(attach.state());
  for (const auto& unacked : attach.unacked()) {
    UnackedPacket packet;
    packet.seq = unacked.seq();
    packet.offset = unacked.offset();
    packet.stored_id = unacked.stored_id();
    packet.since = core_.clock().Now();
    if (unacked.has_stanza()) {
      packet.delivery = std::make_shared<Delivery>();
      packet.delivery->stanza = unacked.stanza();
    }
    session->unacked.push_back(std::move(packet));
  }
  user.sessions.push_back(session);
  core_.sessions_by_id().emplace(id, std::move(session));
}

void SessionKeeper::RestorePacket(Shard& shard, WaitingStore::Shard::Packet row) {
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

// ---- attachment to a new owner ----------------------------------------------

void SessionKeeper::Attach(GatewayPeer& gateway, const GatewayAction& action, Shard& shard) {
  const SessionId id(action.session_id());
  const session::v1::SessionAttach& attach = action.attach();
  std::shared_ptr<Session> session = core_.FindSession(id);
  if (session && session->gateway != nullptr && session->gateway != &gateway) {
    // Resumed on another gateway: over for this one.
    AddFor(gateway, id, shard).mutable_ended()->set_condition("conflict");
    return;
  }
  if (!session && shard.phase == Shard::Phase::kLive) {
    // Either ended here while the link was broken, or its gateway was slow: then what it has
    // given and its client has not acknowledged can no longer be told from what was lost.
    const bool known_end =
        std::any_of(ended_.begin(), ended_.end(), [&](const auto& entry) { return entry.first == id; });
    const bool has_holes = std::any_of(attach.unacked().begin(), attach.unacked().end(),
                                       [](const auto& unacked) { return !unacked.has_stanza(); });
    if (known_end || has_holes) {
      AddFor(gateway, id, shard).mutable_ended()->set_condition("reset");
      return;
    }
  }
  core_.metrics().sessions_attached.Increment();
  if (session && shard.phase == Shard::Phase::kLive) {
    // We know more than the gateway; it tells what reached it before the link broke.
    session->gateway = &gateway;
    session->detached = attach.detached();
    core_.deliverer().Acknowledge(*session, attach.acked_seq());
    if (attach.stream_management() && !session->stream_management) {
      session->stream_management = true;
      session->resume = attach.resume();
      session->base_seq = attach.base_seq();
    }
    if (!session->detached) {
      if (session->parked) {
        session->parked = false;
        core_.tasks().Spawn("session.unpark",
                            [](Core& core, std::string owner, std::string sid) -> Task<void> {
                              (void)co_await core.ports().waiting.Unpark(std::move(owner), std::move(sid));
                            }(core_, session->user->bare, id.str()));
      }
      if (!core_.deliverer().Resend(*session, attach.last_seq())) {
        End(session, "internal-server-error");
        return;
      }
    } else {
      session->park_wanted = true;
      Park(session);
    }
    ConfirmLater(session);
    return;
  }
  // The gateway's knowledge is newer than a parked row's.
  User& user = core_.GetUser(shard, xmpp::BareOf(attach.full_jid()));
  if (!session) {
    session = std::make_shared<Session>();
    session->id = id;
    session->user = &user;
    session->jid = xmpp::Jid::FromTrusted(attach.full_jid());
    user.sessions.push_back(session);
    core_.sessions_by_id().emplace(id, session);
  }
  session->gateway = &gateway;
  session->detached = attach.detached();
  session->detached_since = core_.clock().Now();
  session->park_wanted = attach.detached();
  session->parked = false;
  session->inbound.Reset(attach.confirmed_count());
  session->acked_seq = attach.acked_seq();
  session->base_seq = attach.base_seq();
  session->stream_management = attach.stream_management();
  session->resume = attach.resume();
  if (!attach.state().empty()) (void)session->state.ParseFromString(attach.state());
  UnackedQueue known = std::exchange(session->unacked, {});
  for (const auto& unacked : attach.unacked()) {
    UnackedPacket packet;
    packet.seq = unacked.seq();
    packet.offset = unacked.offset();
    packet.stored_id = unacked.stored_id();
    packet.since = core_.clock().Now();
    if (unacked.has_stanza()) {
      packet.delivery = std::make_shared<Delivery>();
      packet.delivery->stanza = unacked.stanza();
    }
    for (UnackedPacket& old : known)
      if (old.seq == packet.seq && old.delivery) packet = std::move(old);
    session->unacked.push_back(std::move(packet));
  }
  session->last_seq = std::max(session->last_seq, attach.last_seq());
  session->last_offset =
      std::max({session->last_offset, attach.last_offset(), session->state.start_offset()});
  // Packets that the store has beyond the gateway's knowledge come after what it has.
  for (UnackedPacket& old : known)
    if (old.delivery && old.seq > attach.last_seq()) session->unacked.push_back(std::move(old));
}

void SessionKeeper::AttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done) {
  Shard* shard = core_.FindShard(done.shard());
  if (shard == nullptr || shard->epoch != done.epoch()) return;
  shard->attached_gateways.insert(gateway.instance());
}

// ---- resumption -------------------------------------------------------------

void SessionKeeper::Resume(GatewayPeer& gateway, const GatewayAction& action, Shard& shard) {
  const SessionId id(action.session_id());
  const session::v1::SessionResume& request = action.resume();
  const std::shared_ptr<Session> session = core_.FindSession(id);
  if (!session || session->user->bare != request.user() || !session->resume) {
    auto& resumed = *AddFor(gateway, id, shard).mutable_resumed();
    resumed.set_attempt(request.attempt());
    SetFailure(*resumed.mutable_failure(), xmpp::ErrorCondition::kItemNotFound, "no such session");
    for (const auto& [ended, what] : ended_) {
      if (ended == id && what.first == request.user()) {
        resumed.set_has_ended_count(true);
        resumed.set_ended_inbound_count(what.second);
      }
    }
    return;
  }
  if (FloorOf(*session) + NewlyHandled(*session, request.handled()) > session->last_seq) {
    auto& resumed = *AddFor(gateway, id, shard).mutable_resumed();
    resumed.set_attempt(request.attempt());
    resumed.set_handled_too_high(true);
    resumed.set_sent_count(static_cast<std::uint32_t>(session->last_seq - session->base_seq));
    SetFailure(*resumed.mutable_failure(), xmpp::ErrorCondition::kUndefinedCondition,
               "h is higher than what was sent");
    return;
  }
  FinishResume(session, gateway.instance(), request.attempt(), request.handled(), ++session->resumptions);
}

void SessionKeeper::FinishResume(const std::shared_ptr<Session>& session, const std::string& instance,
                                 std::uint64_t attempt, std::uint32_t handled, std::uint32_t resumption) {
  GatewayPeer* gateway = FindGateway(instance);
  if (session->ended || session->user->shard->released() || gateway == nullptr) return;
  if (session->resumptions != resumption) return;  // the client has tried again since
  if (session->inbound.received() != session->inbound.confirmed()) {
    // h must say only what is in the log: it will be, in milliseconds. Until then the session
    // stays where it is: should we die now, its old gateway still has it.
    core_.tasks().Spawn("session.resume",
                        [](SessionKeeper& self, std::shared_ptr<Session> waiting, std::string name,
                           std::uint64_t number, std::uint32_t h, std::uint32_t n) -> Task<void> {
                          co_await runtime::Sleep(std::chrono::milliseconds(2));
                          self.FinishResume(waiting, name, number, h, n);
                        }(*this, session, instance, attempt, handled, resumption));
    return;
  }
  GatewayPeer* const before = session->gateway;
  // On one gateway both connections go by the same id: the old one ends before the new one begins.
  if (before == gateway) AddFor(*session).mutable_ended()->set_condition("conflict");
  core_.deliverer().Acknowledge(*session, FloorOf(*session) + NewlyHandled(*session, handled));
  session->gateway = gateway;
  session->detached = false;
  session->park_wanted = false;
  auto& resumed = *AddFor(*session).mutable_resumed();
  resumed.set_attempt(attempt);
  resumed.set_full_jid(std::string(session->jid.str()));
  resumed.set_inbound_count(session->inbound.confirmed());
  resumed.set_base_seq(session->base_seq);
  resumed.set_acked_seq(session->acked_seq);
  resumed.set_state(session->state.SerializeAsString());
  if (!core_.deliverer().Resend(*session, session->acked_seq)) {
    End(session, "internal-server-error");
    return;
  }
  core_.metrics().sessions_resumed.Increment();
  if (session->available() && session->priority() >= 0 && !session->state.offline_given()) {
    // The connection broke in the middle of the offline messages.
    session->state.set_offline_given(true);
    core_.TakeTurn(*session->user,
                   [this, shard = core_.SharedShard(session->user->shard->number), session]() -> Task<void> {
                     return core_.deliverer().GiveOfflineMessages(shard, session);
                   });
  }
  core_.tasks().Spawn("session.leave_old",
                      LeaveOld(core_.SharedShard(session->user->shard->number), session,
                               before != nullptr && before != gateway ? before->instance() : std::string()));
}

Task<void> SessionKeeper::LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                   std::string gateway) {
  // The new gateway has the session by now, or we have died: only then may the old gateway and
  // the store forget it.
  const std::uint32_t resumption = session->resumptions;
  co_await runtime::Sleep(core_.settings().resume_hand_over);
  if (shard->released()) co_return;
  GatewayPeer* old = FindGateway(gateway);
  if (old != nullptr && old != session->gateway)
    AddFor(*old, session->id, *shard).mutable_ended()->set_condition("conflict");
  if (session->ended || session->detached || session->resumptions != resumption || !session->parked)
    co_return;
  session->parked = false;
  (void)co_await core_.ports().waiting.Unpark(std::string(session->jid.bare()), session->id.str());
}

// ---- time -------------------------------------------------------------------

void SessionKeeper::Sweep(Shard& shard) {
  const SteadyTime now = core_.clock().Now();
  std::vector<std::shared_ptr<Session>> over;
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      if (!session->detached) continue;
      const auto limit = session->resume ? core_.settings().resume_timeout : core_.settings().link_grace;
      if (now - session->detached_since > limit) {
        over.push_back(session);
      } else {
        Park(session);
      }
    }
  }
  for (const auto& session : over) End(session, "connection-timeout");
}

void SessionKeeper::Forget(Shard& shard) {
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      session->ended = true;
      session->gateway = nullptr;
      session->unacked = {};
      core_.sessions_by_id().erase(session->id);
    }
  }
  shard.waiting.clear();
}

// ---- accounts ---------------------------------------------------------------

Task<void> SessionKeeper::LookUpCredentials(std::string instance, session::v1::CredentialsLookup request) {
  auto keys = co_await core_.ports().accounts.GetKeys(request.user());
  GatewayPeer* gateway = FindGateway(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = gateway->Add();
  action.set_epoch(std::numeric_limits<std::int64_t>::max());
  auto& reply = *action.mutable_credentials();
  reply.set_request_id(request.request_id());
  if (!keys.ok()) {
    SetFailure(*reply.mutable_failure(), keys.status());
    reply.mutable_failure()->set_temporary(true);
    co_return;
  }
  for (session::v1::ScramKey& key : *keys) *reply.add_keys() = std::move(key);
}

Task<void> SessionKeeper::Create(std::string instance, session::v1::AccountCreate request) {
  absl::Status status = absl::OkStatus();
  if (!core_.settings().registration) {
    status = absl::PermissionDeniedError("registration is off");
  } else {
    auto keys = co_await core_.ports().keys.Derive(request.password());
    status = keys.status();
    if (keys.ok()) status = co_await core_.ports().accounts.Create(request.user(), *std::move(keys));
  }
  GatewayPeer* gateway = FindGateway(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = gateway->Add();
  action.set_epoch(std::numeric_limits<std::int64_t>::max());
  auto& reply = *action.mutable_created();
  reply.set_request_id(request.request_id());
  if (absl::IsAlreadyExists(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kConflict, "the name is taken");
  } else if (absl::IsInvalidArgument(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kNotAcceptable, Message(status));
  } else if (absl::IsPermissionDenied(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kNotAllowed, Message(status));
  } else if (!status.ok()) {
    SetFailure(*reply.mutable_failure(), status);
  }
}

Task<void> SessionKeeper::Delete(std::string instance, session::v1::AccountDelete request) {
  const absl::Status status = co_await core_.subscriptions().RemoveAccount(request.user());
  GatewayPeer* gateway = FindGateway(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = gateway->Add();
  action.set_epoch(std::numeric_limits<std::int64_t>::max());
  auto& reply = *action.mutable_deleted();
  reply.set_request_id(request.request_id());
  if (!status.ok()) SetFailure(*reply.mutable_failure(), status);
}

}  // namespace rookery::session_manager
