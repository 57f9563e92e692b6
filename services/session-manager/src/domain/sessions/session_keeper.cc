#include "domain/sessions/session_keeper.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "domain/delivery/deliverer.h"
#include "domain/delivery/offline_messages.h"
#include "domain/delivery/session_closer.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/presence/caps_tracker.h"
#include "domain/presence/presence_tracker.h"
#include "domain/sessions/directory_writer.h"
#include "domain/sessions/link_actions.h"
#include "domain/sessions/session_snapshot.h"
#include "modules/server_info.h"
#include "rookery/base/random.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

namespace {

constexpr std::size_t kMaxWaitingActions = 200'000;
constexpr std::size_t kMaxSuccessors = 16;
/// Between two attempts to put an end that the log has refused on record.
constexpr std::chrono::seconds kEndAgain{1};
constexpr std::string_view kTimedOut = "connection-timeout";
/// Of the addresses that a session has directed presence to, the record of its end names so many:
/// it has to fit into the log.
constexpr std::size_t kMaxDirectedBytes = 256 * 1024;

void EndReplaced(GatewayPeer& older, const Incarnation& newer) {
  telemetry::LogWarn("gateway.replaced", {{"gateway", older.instance()}});
  auto& told = *older.Add().mutable_gateway_replaced()->mutable_newer();
  told.set_started_at_ms(newer.started_at_ms);
  told.set_random(newer.random);
  older.Close();
}

/// Only what concerns one existing session may be used before the shard is live.
bool IsAttachment(const GatewayAction& action) { return action.has_attach() || action.has_attach_done(); }

}  // namespace

// ---- links ------------------------------------------------------------------

GatewayPeer* SessionKeeper::FindGateway(const std::string& instance) {
  auto it = gateways_.find(instance);
  return it == gateways_.end() ? nullptr : it->second;
}

void SessionKeeper::OnGatewayLinked(GatewayPeer& gateway) {
  if (GatewayPeer* known = FindGateway(gateway.instance()); known != nullptr && known != &gateway) {
    const Incarnation& before = known->incarnation();
    const bool is_told = gateway.incarnation().is_known() && before.is_known();
    if (is_told && gateway.incarnation() < before) {
      EndReplaced(gateway, before);
      return;
    }
    // A newer process of the name; or the same one, which has given up a link before we hear
    // that it is gone: what comes over the old one counts no more.
    OnGatewayLost(*known);
    if (is_told && before < gateway.incarnation()) {
      EndReplaced(*known, gateway.incarnation());
    } else {
      known->Close();
    }
  }
  gateways_[gateway.instance()] = &gateway;
  core_.metrics().gateways.Set(static_cast<double>(gateways_.size()));
  auto& hello = *gateway.Add().mutable_hello();
  hello.set_instance(core_.settings().instance);
  hello.set_shard_count(core_.shard_count());
  hello.set_resumption_timeout_s(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(core_.settings().resume_timeout).count()));
  hello.set_duplicate_horizon_ms(static_cast<std::uint32_t>(core_.settings().duplicate_horizon.count()));
  hello.set_link_grace_ms(static_cast<std::uint32_t>(core_.settings().link_grace.count()));
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

void SessionKeeper::OnGatewayHasRoom(GatewayPeer& gateway) { core_.deliverer().OnRoom(gateway); }

void SessionKeeper::OnGatewayLost(GatewayPeer& gateway) {
  // A process that was frozen finds its links broken: it must not judge by that.
  core_.shards().NoteTime();
  core_.deliverer().OnGatewayLost(gateway);
  auto it = gateways_.find(gateway.instance());
  const bool replaced = it == gateways_.end() || it->second != &gateway;
  if (!replaced) gateways_.erase(it);
  core_.metrics().gateways.Set(static_cast<double>(gateways_.size()));
  const auto lost = by_gateway_.extract(&gateway);
  while (lost && !lost.mapped().empty()) {
    const auto session = core_.FindSession(lost.mapped().front().id);
    SetGateway(*session, nullptr);
    // The gateway may be alive and link again: a session without resumption has link_grace to be
    // attached again.
    if (session->phase() == SessionPhase::kConnected || session->phase() == SessionPhase::kResumed)
      Enter(*session, SessionPhase::kLinkLost);
    core_.directory().Changed(*session);
    parker_.Park(session);
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
    case GatewayAction::kStreamManagementEnable:
      EnableStreamManagement(gateway, action);
      break;
    default:
      break;
  }
}

void SessionKeeper::RunWaiting(Shard& shard) {
  ShardState& state = StateOf(shard);
  for (const SessionId& id : std::vector(state.unparked.begin(), state.unparked.end()))
    if (const auto session = core_.FindSession(id)) parker_.Park(session);
  for (const SessionId& id : std::exchange(state.conflicts, {})) {
    const auto session = core_.FindSession(id);
    if (!session) continue;
    const User& user = *session->user;
    const bool is_alone = std::none_of(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
      return other != session && other->resource() == session->resource();
    });
    if (!is_alone) End(session, "conflict");
  }
  for (const SessionId& id : std::exchange(state.back, {}))
    if (const auto session = core_.FindSession(id)) parker_.OnPhase(*session);
  core_.presence().OnShardLive(shard);
  core_.features().Tell(&LifeHook::OnShardLive, shard);
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
      SetGateway(*existing, &gateway);
      if (IsAway(existing->phase())) Enter(*existing, SessionPhase::kConnected);
      core_.directory().Changed(*existing);
      AddAction(*existing).mutable_started()->set_full_jid(std::string(existing->jid.str()));
      SendState(*existing);
    } else {
      SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kConflict, "the session's name is taken");
    }
    return;
  }
  if (EndedOf(shard).IsOver(id, 0)) {
    // The same, and the session has ended since.
    SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
               xmpp::ErrorCondition::kConflict, "the session is over");
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
    // RFC 6120 section 7.7.2.2: the newer wins. It begins when the older one has ended; all that the
    // client of a session that is closed in order has sent there is applied before.
    if (!RunAfterEnd(*old, gateway, action)) {
      SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kResourceConstraint, "too many sessions of this name");
    } else if (old->phase() != SessionPhase::kClosing) {
      End(core_.FindSession(old->id), "conflict", "replaced by a new session");
    }
    return;
  }
  auto session = std::make_shared<Session>();
  session->id = id;
  session->jid = xmpp::Jid::FromTrusted(request.user() + "/" + resource);
  session->state.set_started_at_ms(core_.clock().UnixMillisNow());
  session->state.set_start_offset(shard.window.next_offset() - 1);
  session->last_offset = session->state.start_offset();
  Add(user, session);
  SetGateway(*session, &gateway);
  core_.directory().Changed(*session);
  core_.metrics().sessions_started.Increment();
  AddAction(*session).mutable_started()->set_full_jid(std::string(session->jid.str()));
  SendState(*session);
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("session.started",
                        {{"user", telemetry::HashedJid(user.bare)}, {"shard", shard.number}});
}

void SessionKeeper::PublishState(Session& session) {
  if (session.ended) return;
  if (session.gateway == nullptr) {
    parker_.OnStateChanged(session);
    return;
  }
  if (!session.is_state_due && !session.gateway->is_congested()) {
    SendState(session);
    return;
  }
  session.is_state_due = true;
  core_.deliverer().Push(session);
}

void SessionKeeper::SendState(Session& session) {
  AddAction(session).mutable_state()->set_state(session.state.SerializeAsString());
  if (std::exchange(session.is_state_due, false)) ConfirmLater(core_.FindSession(session.id));
}

// ---- stanzas of the client --------------------------------------------------

void SessionKeeper::OnStanza(GatewayPeer& gateway, GatewayAction& action) {
  const auto session = core_.FindSession(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway || session->ended) return;
  session::v1::ClientStanza& stanza = *action.mutable_stanza();
  if (stanza.count() <= session->inbound.received()) {
    // Sent again after a new link: the confirmation was lost or is still to come.
    core_.metrics().stanzas_repeated.Increment();
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
  core_.client_stanzas().Take(session, stanza);
}

void SessionKeeper::FinishInbound(const std::shared_ptr<Session>& session, std::uint64_t count) {
  if (!session->inbound.Close(count)) return;
  ConfirmLater(session);
  if (!session->inbound.is_all_confirmed()) return;
  const bool is_awaited = session->phase() == SessionPhase::kClosing || session->resume_waits ||
                          (session->is_resumable() && IsAway(session->phase()));
  if (!is_awaited) return;
  // Not from within the handling of its last stanza.
  asio::post(core_.executor(), [this, session] { OnAllConfirmed(session); });
}

void SessionKeeper::OnAllConfirmed(const std::shared_ptr<Session>& session) {
  if (session->ended || !session->inbound.is_all_confirmed()) return;
  if (session->phase() == SessionPhase::kClosing) {
    End(session, {});
    return;
  }
  parker_.Park(session);
  resumer_.TryAgain(session);
}

void SessionKeeper::EnableStreamManagement(GatewayPeer& gateway, const GatewayAction& action) {
  const auto session = core_.FindSession(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway) return;
  session->management =
      action.stream_management_enable().resume() ? StreamManagement::kResumable : StreamManagement::kOn;
  session->base_seq = action.stream_management_enable().base_seq();
  resumer_.TryAgain(session);
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
    // OnRowTold comes, or SendState: what the gateway drops when it is confirmed, the state has to say.
    const bool is_early = session->row.misleads || session->is_state_due;
    if (session->ended || session->gateway == nullptr || is_early) continue;
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
  if (session->phase() == SessionPhase::kEnding) return;
  if (action.end().reason() == session::v1::END_REASON_CONNECTION_LOST && session->is_resumable() &&
      session->phase() != SessionPhase::kClosing) {
    if (!IsAway(session->phase()) || session->phase() == SessionPhase::kLinkLost) {
      Enter(*session, SessionPhase::kAway);
      core_.directory().Changed(*session);
    }
    parker_.Park(session);
    return;
  }
  if (!session->inbound.is_all_confirmed()) {
    // Until the log has everything that the client sent before it closed, the gateway keeps it.
    if (session->phase() != SessionPhase::kClosing) Enter(*session, SessionPhase::kClosing);
    return;
  }
  End(session, {});
}

void SessionKeeper::End(const std::shared_ptr<Session>& session, std::string_view condition,
                        std::string_view text) {
  if (!session || session->ended || session->phase() == SessionPhase::kEnding) return;
  AppendEnd(*session, condition, text, /*holds=*/-1);
}

void SessionKeeper::EndAll(User& user, std::string_view condition, const Session* except) {
  for (const auto& session : user.sessions)
    if (session.get() != except) End(session, condition);
}

void SessionKeeper::AppendEnd(Session& session, std::string_view condition, std::string_view text,
                              std::int64_t holds) {
  Shard& shard = *session.user->shard;
  session.ends_by_timeout = condition == kTimedOut;
  Enter(session, SessionPhase::kEnding);
  events::v1::UserRecord record;
  core_.shards().FillOrigin(shard, *record.mutable_origin());
  record.set_received_at_ms(core_.clock().UnixMillisNow());
  auto& ended = *record.mutable_session_ended();
  ended.set_session_id(session.id.str());
  ended.set_full_jid(std::string(session.jid.str()));
  ended.set_condition(std::string(condition));
  ended.set_text(std::string(text));
  ended.set_resumptions(session.state.resumptions());
  ended.set_available(session.available());
  std::size_t bytes = 0;
  for (const std::string& address : session.state.directed()) {
    bytes += address.size();
    if (bytes > kMaxDirectedBytes) break;
    ended.add_directed(address);
  }
  ended.set_confirmed_count(core_.client_stanzas().CountAtEnd(session));
  if (holds >= 0) shard.window.Hold(holds);
  AppendEndRecord(core_.SharedShard(shard.number), session.user->bare, std::move(record), holds);
}

void SessionKeeper::AppendEndRecord(const std::shared_ptr<Shard>& shard, const std::string& bare,
                                    events::v1::UserRecord record, std::int64_t holds) {
  core_.shards().Append(*shard, Topic::kUsers, shard->number, bare, record,
                        [this, shard, bare, record, holds](const absl::StatusOr<std::int64_t>& appended) {
                          if (shard->released() || absl::IsAborted(appended.status())) return;
                          if (!appended.ok()) {
                            // The session is over all the same, and its contacts must hear of it.
                            core_.NoteRefusal(appended.status());
                            core_.tasks().Spawn("session.end_again",
                                                AppendEndAgain(shard, bare, record, holds));
                            return;
                          }
                          if (holds >= 0) shard->window.Release(holds);
                        });
}

Task<void> SessionKeeper::AppendEndAgain(std::shared_ptr<Shard> shard, std::string bare,
                                         events::v1::UserRecord record, std::int64_t holds) {
  co_await runtime::Sleep(kEndAgain);
  if (!shard->released()) AppendEndRecord(shard, bare, std::move(record), holds);
}

void SessionKeeper::OnAccountRemoved(User& user, std::int64_t offset) {
  EndedOf(*user.shard).AddAccount(user.bare, offset, core_.clock().Now());
  core_.features().Tell(&LifeHook::OnAccountRemoved, user);
  for (const auto& session : user.sessions)
    if (session->phase() != SessionPhase::kEnding) AppendEnd(*session, "not-authorized", {}, offset);
}

void SessionKeeper::OnEndRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const std::string_view bare = xmpp::BareOf(ended.full_jid());
  const SessionId id(ended.session_id());
  const auto session = core_.FindSession(id);
  if (core_.ShardNumberOf(bare) != shard.number || (session && session->user->bare != bare)) {
    core_.metrics().misplaced.Increment();
    telemetry::LogError("record.misplaced", {{"shard", shard.number}, {"offset", pending.offset}});
    return;
  }
  if (session && session->state.resumptions() > ended.resumptions()) {
    RunSuccessors(*session);
    return;
  }
  EndedSessions& known = EndedOf(shard);
  const bool is_known = known.IsOver(id, ended.resumptions());
  known.Add(id, bare, ended.resumptions(),
            session ? core_.client_stanzas().CountAtEnd(*session) : ended.confirmed_count(),
            core_.clock().Now());
  Cause cause;
  cause.offset = pending.offset;
  cause.trace_id = pending.record.trace_id();
  if (session) {
    Remove(session, ended, &cause);
  } else if (!is_known) {
    // It died with its gateway and the owner that has put this into the log.
    core_.presence().OnUnknownSessionEnd(shard, cause, ended);
  }
}

void SessionKeeper::OnFinishedRecord(Shard& shard, const PendingRecord& pending) {
  const SteadyTime now = core_.clock().Now();
  if (pending.record.has_account_removed()) {
    EndedOf(shard).AddAccount(pending.record.account_removed().jid(), pending.offset, now);
    return;
  }
  if (!pending.record.has_session_ended()) return;
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const SessionId id(ended.session_id());
  EndedOf(shard).Add(id, xmpp::BareOf(ended.full_jid()), ended.resumptions(), ended.confirmed_count(), now);
  const auto session = core_.FindSession(id);
  if (session && session->user->shard == &shard && session->state.resumptions() <= ended.resumptions())
    Remove(session, ended, /*cause=*/nullptr);
}

bool SessionKeeper::RunAfterEnd(Session& session, const GatewayPeer& gateway, GatewayAction asked) {
  if (!session.successors) session.successors = std::make_unique<std::vector<WaitingAction>>();
  if (session.successors->size() >= kMaxSuccessors) return false;
  session.successors->push_back({gateway.instance(), std::move(asked)});
  return true;
}

void SessionKeeper::RunSuccessors(Session& session) {
  if (session.resume_waits) RunAfterEndLater(std::move(session.resume_waits->asked));
  session.resume_waits.reset();
  if (!session.successors) return;
  const auto successors = std::move(session.successors);
  for (WaitingAction& next : *successors) RunAfterEndLater(std::move(next));
}

void SessionKeeper::RunAfterEndLater(WaitingAction waiting) {
  // Not from within what ends the session.
  asio::post(core_.executor(), [this, next = std::move(waiting)]() mutable { RunLate(std::move(next)); });
}

// ---- phases -----------------------------------------------------------------

SessionKeeper::ShardState& SessionKeeper::StateOf(const Shard& shard) {
  if (shards_.size() <= shard.number) shards_.resize(core_.shard_count());
  std::unique_ptr<ShardState>& state = shards_[shard.number];
  if (!state) state = std::make_unique<ShardState>(core_.executor());
  return *state;
}

void SessionKeeper::Add(User& user, const std::shared_ptr<Session>& session) {
  session->user = &user;
  user.sessions.push_back(session);
  core_.sessions_by_id().emplace(session->id, session);
  session->CountIn(away_);
  Schedule(*session);
  core_.features().Tell(&LifeHook::OnSessionBegun, *session);
}

void SessionKeeper::EndOlder(Session& session) {
  User& user = *session.user;
  Session* const other = user.FindResource(session.resource());
  if (other == nullptr || other == &session) return;
  const auto age = [](const Session& s) {
    return std::pair(s.state.start_offset(), s.state.started_at_ms());
  };
  const bool is_newer = age(session) > age(*other);
  // What is addressed to the full JID goes to the newer one from here on.
  if (is_newer) std::rotate(user.sessions.begin(), user.sessions.end() - 1, user.sessions.end());
  const auto loser = core_.FindSession(is_newer ? other->id : session.id);
  if (user.shard->live()) {
    End(loser, "conflict", "replaced by a new session");
  } else {
    StateOf(*user.shard).conflicts.push_back(loser->id);
  }
}

void SessionKeeper::Enter(Session& session, SessionPhase phase) {
  session.Move(phase, core_.clock().Now());
  Schedule(session);
  parker_.OnPhase(session);
}

void SessionKeeper::SetGateway(Session& session, GatewayPeer* gateway) {
  session.unlink();
  if (session.gateway != gateway) session.awaits_room = false;
  session.gateway = gateway;
  if (gateway != nullptr) by_gateway_[gateway].push_back(session);
}

void SessionKeeper::Schedule(Session& session) {
  ShardState& state = StateOf(*session.user->shard);
  SteadyTime due = SteadyTime::max();
  if (IsAway(session.phase())) {
    due = session.detached_since +
          (session.is_resumable() ? core_.settings().resume_timeout : core_.settings().link_grace);
  }
  if (session.resume_waits) due = std::min(due, session.resume_waits->limit);
  if (due != session.due) {
    if (session.due != SteadyTime::max()) state.due.erase({session.due, session.id});
    if (due != SteadyTime::max()) state.due.insert({due, session.id});
    session.due = due;
  }
  const bool is_unparked =
      session.is_resumable() && IsAway(session.phase()) && session.phase() != SessionPhase::kParked;
  if (is_unparked) {
    state.unparked.insert(session.id);
  } else if (state.unparked.erase(session.id) > 0 && state.unparked.empty()) {
    state.all_parked->Notify();
  }
}

Task<void> SessionKeeper::AwaitParked(std::shared_ptr<Shard> shard, std::chrono::milliseconds limit) {
  const Deadline deadline = Deadline::After(limit);
  while (!shard->released()) {
    ShardState& state = StateOf(*shard);
    if (state.unparked.empty()) co_return;
    const std::shared_ptr<runtime::Event> all_parked = state.all_parked;
    const bool is_in_time = co_await all_parked->Wait(deadline);
    if (!is_in_time) co_return;
  }
}

void SessionKeeper::Sweep(Shard& shard) {
  ShardState& state = StateOf(shard);
  const SteadyTime now = core_.clock().Now();
  while (!state.due.empty() && state.due.begin()->first <= now) {
    const auto session = core_.FindSession(state.due.begin()->second);
    state.due.erase(state.due.begin());
    if (!session) continue;
    session->due = SteadyTime::max();
    OnDue(session);
  }
  state.ended.Expire(now - core_.settings().duplicate_horizon);
  core_.caps().Sweep();
}

void SessionKeeper::OnDue(const std::shared_ptr<Session>& session) {
  const SteadyTime now = core_.clock().Now();
  if (session->resume_waits && session->resume_waits->limit <= now) resumer_.GiveUp(session);
  const auto limit = session->is_resumable() ? core_.settings().resume_timeout : core_.settings().link_grace;
  if (IsAway(session->phase()) && now - session->detached_since >= limit) {
    End(session, kTimedOut);
  } else {
    Schedule(*session);
  }
}

// ---- the end ----------------------------------------------------------------

void SessionKeeper::Retire(const std::shared_ptr<Session>& session) {
  User& user = *session->user;
  Enter(*session, SessionPhase::kEnded);
  SetGateway(*session, nullptr);
  core_.sessions_by_id().erase(session->id);
  std::erase_if(user.sessions, [&](const auto& other) { return other == session; });
  core_.features().Tell(&LifeHook::OnSessionEnded, *session);
  for (UnackedPacket& packet : session->unacked)
    if (packet.holds) user.shard->window.Release(packet.offset);
  session->unacked = {};
  session->inbound_order.reset();
  RunSuccessors(*session);
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

void SessionKeeper::Remove(const std::shared_ptr<Session>& session, const events::v1::SessionEnded& ended,
                           Cause* cause) {
  User& user = *session->user;
  const std::shared_ptr<Shard> shard = core_.SharedShard(user.shard->number);
  GatewayPeer* const gateway = session->gateway;
  session->end_record = cause != nullptr ? cause->offset : -1;
  // The one that its client has left must not bring it back.
  if (GatewayPeer* left = FindGateway(session->left_gateway); left != nullptr && left != gateway)
    AddAction(*left, session->id, *shard).mutable_ended()->set_condition("conflict");
  Enter(*session, SessionPhase::kEnded);
  SetGateway(*session, nullptr);
  core_.directory().Ended(*session);
  core_.metrics().sessions_ended.Increment();
  core_.sessions_by_id().erase(session->id);
  std::erase_if(user.sessions, [&](const auto& other) { return other == session; });
  if (cause != nullptr) core_.presence().OnSessionEnd(user, *session, *cause);
  core_.features().Tell(&LifeHook::OnSessionEnded, *session);
  core_.deliverer().Abandon(user, *session);
  session->inbound_order.reset();
  core_.offline().MarkEnded(session);
  // Its gateway forgets it when its packets are gone from the store: nobody could tell those that its
  // client has had from those that it has not.
  if (session->has_rows) core_.offline().RemoveRows(*session);
  if (gateway != nullptr) TellEnded(session, *gateway, ended);
  // The store forgets the session when it has what the session's rows may be the last trace of; the
  // record of the end is there until then, so that the next owner does the same.
  const std::int64_t offset = session->end_record;
  if (offset >= 0) shard->window.Hold(offset);
  auto remove = [this, shard, session, offset] {
    if (shard->released()) return;
    parker_.RemoveRows(shard, session, [this, shard, offset] {
      if (offset >= 0) shard->window.Release(offset);
      core_.closer().Check(*shard);
    });
  };
  if (gateway != nullptr) {
    remove();
  } else {
    // The row is all that tells what its client has had.
    core_.closer().Close(session, /*is_open=*/false, std::move(remove));
  }
  RunSuccessors(*session);
  if (!user.HasAvailable()) user.contacts.reset();
  core_.MaybeForget(user);
}

void SessionKeeper::TellEnded(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
                              const events::v1::SessionEnded& ended) {
  const Shard& shard = *session->user->shard;
  core_.closer().Close(session, /*is_open=*/!ended.condition().empty(),
                       [this, id = session->id, number = shard.number, epoch = shard.epoch,
                        instance = gateway.instance(), condition = ended.condition(), text = ended.text()] {
                         const Shard* now = core_.FindShard(number);
                         GatewayPeer* peer = FindGateway(instance);
                         if (peer == nullptr || now == nullptr || now->epoch != epoch) return;
                         auto& told = *AddAction(*peer, id, *now).mutable_ended();
                         told.set_condition(condition);
                         told.set_text(text);
                       });
}

// ---- parked sessions --------------------------------------------------------

void SessionKeeper::OnBackRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionBack& back = pending.record.session_back();
  const auto session = core_.FindSession(SessionId(back.session_id()));
  if (!session || session->user->shard != &shard || session->user->bare != xmpp::BareOf(back.full_jid()))
    return;
  parker_.OnBackRecord(session, pending);
}

void SessionKeeper::OnRowTold(const std::shared_ptr<Session>& session) {
  if (session->ended || session->row.misleads) return;
  ConfirmLater(session);
  resumer_.TryAgain(session);
}

void SessionKeeper::LookWhenLive(const Session& session) {
  StateOf(*session.user->shard).back.push_back(session.id);
}

void SessionKeeper::Restore(Shard& shard, WaitingStore::ParkedSession parked) {
  parker_.Restore(shard, std::move(parked));
}

// ---- the shard goes ---------------------------------------------------------

void SessionKeeper::Forget(Shard& shard) {
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      session->Move(SessionPhase::kEnded, core_.clock().Now());
      SetGateway(*session, nullptr);
      core_.features().Tell(&LifeHook::OnSessionEnded, *session);
      session->unacked = {};
      core_.sessions_by_id().erase(session->id);
    }
  }
  shard.waiting.clear();
  if (shard.number >= shards_.size() || !shards_[shard.number]) return;
  shards_[shard.number]->all_parked->Notify();
  shards_[shard.number].reset();
}

}  // namespace rookery::session_manager
