#include "domain/session_keeper.h"

#include <boost/asio/post.hpp>

#include "domain/caps_tracker.h"
#include "domain/client_stanza_processor.h"
#include "domain/deliverer.h"
#include "domain/directory_writer.h"
#include "domain/link_actions.h"
#include "domain/offline_messages.h"
#include "domain/presence_tracker.h"
#include "domain/session_closer.h"
#include "domain/shard_keeper.h"
#include "modules/server_info.h"
#include "rookery/base/random.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

namespace {

constexpr std::size_t kMaxWaitingActions = 200'000;
constexpr std::size_t kMaxSuccessors = 16;

/// Only what concerns one existing session may be used before the shard is live.
bool IsAttachment(const GatewayAction& action) { return action.has_attach() || action.has_attach_done(); }

}  // namespace

// ---- links ------------------------------------------------------------------

GatewayPeer* SessionKeeper::FindGateway(const std::string& instance) {
  auto it = gateways_.find(instance);
  return it == gateways_.end() ? nullptr : it->second;
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
  hello.set_resumption_timeout_s(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(core_.settings().resume_timeout).count()));
  const std::string caps_ver = ServerCapsVer(core_.iqs().hooks());
  for (const std::string& domain : core_.settings().domains) {
    auto& caps = *hello.add_caps();
    caps.set_domain(domain);
    caps.set_caps_node(std::string(kServerCapsNode));
    caps.set_caps_ver(caps_ver);
  }
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
    attacher_.AttachDone(gateway, action.attach_done());
    return;
  }
  if (action.has_credentials_lookup()) {
    core_.tasks().Spawn(
        "credentials.look_up",
        accounts_.LookUpCredentials(gateway.instance(), std::move(*action.mutable_credentials_lookup())));
    return;
  }
  if (action.has_create()) {
    core_.tasks().Spawn("account.create",
                        accounts_.Create(gateway.instance(), std::move(*action.mutable_create())));
    return;
  }
  if (action.has_delete_()) {
    core_.tasks().Spawn("account.delete",
                        accounts_.Delete(gateway.instance(), std::move(*action.mutable_delete_())));
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
      resumer_.Resume(gateway, action, *shard);
      break;
    case GatewayAction::kAttach:
      attacher_.Attach(gateway, action, *shard);
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
  core_.presence().OnShardLive(shard);
  core_.caps().OnShardLive(shard);
  // Taken out first: what runs may add.
  std::deque<WaitingAction> waiting = std::move(shard.waiting);
  shard.waiting.clear();
  // What clients have sent, and closed, comes before the sessions that they begin next: on another
  // gateway, whose actions may lie ahead.
  for (const bool begins : {false, true})
    for (WaitingAction& entry : waiting)
      if ((entry.action.has_start() || entry.action.has_resume()) == begins) RunLate(std::move(entry));
}

void SessionKeeper::RunLate(WaitingAction waiting) {
  if (GatewayPeer* gateway = FindGateway(waiting.gateway)) OnAction(*gateway, std::move(waiting.action));
}

void SessionKeeper::RefuseNotOwner(GatewayPeer& gateway, const GatewayAction& action, std::uint32_t number) {
  SessionManagerAction& reply = AddUnownedAction(gateway);
  reply.set_session_id(action.session_id());
  reply.set_shard(number);
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
      core_.directory().Changed(*existing);
      AddAction(*existing).mutable_started()->set_full_jid(std::string(existing->jid.str()));
    } else {
      SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kConflict, "the session's name is taken");
    }
    return;
  }
  User& user = core_.GetUser(shard, request.user());
  if (static_cast<std::int64_t>(user.sessions.size()) >= core_.settings().max_sessions_per_user &&
      (request.resource().empty() || user.FindResource(request.resource()) == nullptr)) {
    SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
               xmpp::ErrorCondition::kResourceConstraint, "too many sessions");
    core_.MaybeForget(user);
    return;
  }
  std::string resource = request.resource();
  if (resource.empty()) {
    resource = RandomToken(9);
  } else if (Session* old = user.FindResource(resource)) {
    if (old->closing) {
      // Its client has closed it in order, so all that it sent counts.
      if (!old->successors) old->successors = std::make_unique<std::vector<WaitingAction>>();
      if (old->successors->size() >= kMaxSuccessors) {
        SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                   xmpp::ErrorCondition::kResourceConstraint, "too many sessions of this name");
        return;
      }
      old->successors->push_back({gateway.instance(), action});
      return;
    }
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
  session->state.set_started_at_ms(core_.clock().UnixMillisNow());
  session->state.set_start_offset(shard.window.next_offset() - 1);
  session->last_offset = session->state.start_offset();
  owner.sessions.push_back(session);
  core_.sessions_by_id().emplace(id, session);
  core_.directory().Changed(*session);
  core_.metrics().sessions_started.Increment();
  AddAction(*session).mutable_started()->set_full_jid(std::string(session->jid.str()));
  PublishState(*session);
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("session.started",
                        {{"user", telemetry::HashedJid(owner.bare)}, {"shard", shard.number}});
}

void SessionKeeper::PublishState(Session& session) {
  if (session.gateway == nullptr || session.ended) return;
  AddAction(session).mutable_state()->set_state(session.state.SerializeAsString());
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
    AddAction(*session).mutable_confirmed()->set_count(session->inbound.confirmed());
  }
}

// ---- end --------------------------------------------------------------------

void SessionKeeper::OnEnd(GatewayPeer& gateway, const GatewayAction& action) {
  const auto session = core_.FindSession(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway) {
    // Replaced or resumed elsewhere: over for this gateway.
    if (session) AddAction(gateway, session->id, *session->user->shard).mutable_ended();
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
    parker_.Park(session);
    return;
  }
  session->detached = true;
  session->detached_since = core_.clock().Now();
  core_.directory().Changed(*session);
  if (session->resume) parker_.Park(session);
}

void SessionKeeper::End(const std::shared_ptr<Session>& session, std::string_view condition,
                        std::string_view text) {
  if (!session || session->ended) return;
  GatewayPeer* const gateway = session->gateway;
  const Shard& shard = *session->user->shard;
  // The one that its client has left must not bring it back.
  if (GatewayPeer* left = FindGateway(session->left_gateway); left != nullptr && left != gateway)
    AddAction(*left, session->id, shard).mutable_ended()->set_condition("conflict");
  Remove(session);
  if (gateway == nullptr) return;
  const bool told = core_.closer().Close(
      session, /*is_open=*/!condition.empty(),
      [this, id = session->id, number = shard.number, epoch = shard.epoch, instance = gateway->instance(),
       reason = std::string(condition), explanation = std::string(text)] {
        const Shard* now = core_.FindShard(number);
        GatewayPeer* peer = FindGateway(instance);
        if (peer == nullptr || now == nullptr || now->epoch != epoch) return;
        auto& ended = *AddAction(*peer, id, *now).mutable_ended();
        ended.set_condition(reason);
        ended.set_text(explanation);
      });
  if (told) return;
  // The next owner, should there be one before the gateway is told.
  session->state.set_end_condition(std::string(condition));
  AddAction(*gateway, session->id, shard).mutable_state()->set_state(session->state.SerializeAsString());
}

void SessionKeeper::EndAll(User& user, std::string_view condition, const Session* except) {
  const std::vector<std::shared_ptr<Session>> sessions = user.sessions;
  for (const auto& session : sessions)
    if (session.get() != except) End(session, condition);
}

void SessionKeeper::Retire(const std::shared_ptr<Session>& session) {
  User& user = *session->user;
  session->ended = true;
  session->gateway = nullptr;
  core_.sessions_by_id().erase(session->id);
  std::erase_if(user.sessions, [&](const auto& other) { return other == session; });
  core_.caps().OnSessionEnd(*session);
  for (UnackedPacket& packet : session->unacked)
    if (packet.holds) user.shard->window.Release(packet.offset);
  session->unacked = {};
  session->inbound_queue.reset();
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
  const std::string bare = user.bare;
  session->ended = true;
  core_.directory().Ended(*session);
  core_.metrics().sessions_ended.Increment();
  core_.sessions_by_id().erase(session->id);
  if (session->stream_management) ended_.Add(session->id, {bare, session->inbound.received()});
  std::erase_if(user.sessions, [&](const auto& other) { return other == session; });
  core_.presence().OnSessionEnd(user, *session);
  core_.caps().OnSessionEnd(*session);
  core_.deliverer().Abandon(user, *session);
  session->gateway = nullptr;
  if (session->successors) {
    // Not from within what ends this one.
    const auto successors = std::move(session->successors);
    for (WaitingAction& next : *successors)
      asio::post(core_.executor(), [this, next = std::move(next)]() mutable { RunLate(std::move(next)); });
  }
  // Not before the offline store has what the session's rows may be the last trace of.
  if (session->parked || session->park_in_flight || session->resume || session->has_rows)
    OfflineMessages::AfterWrites(*session,
                                 [this, bare, id = session->id.str()] { parker_.RemoveStored(bare, id); });
  session->inbound_queue.reset();
  if (!user.HasAvailable()) user.contacts.reset();
  core_.MaybeForget(user);
}

// ---- parked sessions --------------------------------------------------------

void SessionKeeper::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  parker_.Restore(shard, std::move(parked));
}

void SessionKeeper::RestorePacket(Shard& shard, WaitingStore::Shard::Packet row) {
  parker_.RestorePacket(shard, std::move(row));
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
        parker_.Park(session);
      }
    }
  }
  for (const auto& session : over) End(session, "connection-timeout");
  core_.caps().Sweep();
}

void SessionKeeper::Forget(Shard& shard) {
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      session->ended = true;
      core_.caps().OnSessionEnd(*session);
      session->gateway = nullptr;
      session->unacked = {};
      core_.sessions_by_id().erase(session->id);
    }
  }
  shard.waiting.clear();
}
}  // namespace rookery::session_manager
