#include "domain/inbound/session_keeper.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "domain/accounts/account_check.h"
#include "domain/delivery/deliverer.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/link_actions.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/server_info.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_attacher.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_parker.h"
#include "domain/sessions/session_resumer.h"
#include "domain/sessions/session_snapshot.h"
#include "domain/state/shards.h"
#include "domain/users/users.h"
#include "rookery/base/deadline.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

namespace {

void EndReplaced(GatewayPeer& older, const Incarnation& newer) {
  telemetry::LogWarn("gateway.replaced", {{"gateway", older.instance()}});
  auto& told = *older.Add().mutable_gateway_replaced()->mutable_newer();
  told.set_started_at_ms(newer.started_at_ms);
  told.set_random(newer.random);
  older.Close();
}

/// Only what concerns one existing session may be used before the shard is live.
bool IsAttachment(const GatewayAction& action) { return action.has_attach() || action.has_attach_done(); }

/// The account and credentials that the client has authenticated with.
Standing ClaimOf(const GatewayAction& action) {
  if (action.has_start()) return {action.start().account_generation(), action.start().credentials_version()};
  return {action.resume().account_generation(), action.resume().credentials_version()};
}

constexpr std::chrono::milliseconds kIdlePatience{500};
/// So long a gateway may take to attach again what was turned away. One of an earlier release does not know
/// that it is asked to.
constexpr std::chrono::seconds kAgainLimit{10};

absl::Status Removed() { return absl::PermissionDeniedError("the account is removed"); }

}  // namespace

SessionKeeper::SessionKeeper(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                             runtime::TaskGroup& tasks, const Addresses& addresses,
                             sharding::ShardOwner& owner, const Shards& shards, const SessionTable& table,
                             Users& users, const Hooks& hooks, Gateways& gateways, LiveSessions& live,
                             Confirmations& confirmations, Outbox& outbox, DirectoryWriter& directory,
                             Deliverer& deliverer, ClientStanzaProcessor& client_stanzas,
                             SessionParker& parker, SessionEnds& ends, SessionResumer& resumer,
                             SessionAttacher& attacher, AccountActions& accounts, AccountCheck& account_check)
    : settings_(settings),
      clock_(clock),
      metrics_(metrics),
      tasks_(tasks),
      addresses_(addresses),
      owner_(owner),
      shards_(shards),
      table_(table),
      users_(users),
      hooks_(hooks),
      gateways_(gateways),
      live_(live),
      confirmations_(confirmations),
      outbox_(outbox),
      directory_(directory),
      deliverer_(deliverer),
      client_stanzas_(client_stanzas),
      parker_(parker),
      ends_(ends),
      resumer_(resumer),
      attacher_(attacher),
      accounts_(accounts),
      account_check_(account_check) {}

// ---- links ------------------------------------------------------------------

void SessionKeeper::OnGatewayLinked(GatewayPeer& gateway) {
  if (GatewayPeer* known = gateways_.Find(gateway.instance()); known != nullptr && known != &gateway) {
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
  gateways_.Add(gateway);
  metrics_.gateways.Set(static_cast<double>(gateways_.all().size()));
  auto& hello = *gateway.Add().mutable_hello();
  hello.set_instance(settings_.instance);
  hello.set_shard_count(addresses_.shard_count());
  hello.set_resumption_timeout_s(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(settings_.resume_timeout).count()));
  hello.set_duplicate_horizon_ms(static_cast<std::uint32_t>(settings_.duplicate_horizon.count()));
  hello.set_link_grace_ms(static_cast<std::uint32_t>(settings_.link_grace.count()));
  const std::string caps_ver = ServerCapsVer(hooks_);
  for (const std::string& domain : settings_.domains) {
    auto& caps = *hello.add_caps();
    caps.set_domain(domain);
    caps.set_caps_node(std::string(kServerCapsNode));
    caps.set_caps_ver(caps_ver);
  }
  for (const auto& shard : shards_.All()) {
    if (shard->epoch < 0) continue;
    auto& owned = *hello.add_shards();
    owned.set_shard(shard->number);
    owned.set_epoch(shard->epoch);
  }
}

void SessionKeeper::OnGatewayHasRoom(GatewayPeer& gateway) { outbox_.OnRoom(gateway); }

void SessionKeeper::OnGatewayLost(GatewayPeer& gateway) {
  // A process that was frozen finds its links broken: it must not judge by that.
  owner_.NoteTime();
  outbox_.OnGatewayLost(gateway);
  const bool is_replaced = !gateways_.Remove(gateway);
  metrics_.gateways.Set(static_cast<double>(gateways_.all().size()));
  while (const Session* lost = gateways_.AnyOf(gateway)) {
    const auto session = table_.Find(lost->id);
    gateways_.Assign(*session, nullptr);
    // The gateway may be alive and link again: a session without resumption has link_grace to be
    // attached again.
    if (session->phase() == SessionPhase::kConnected || session->phase() == SessionPhase::kResumed)
      live_.Enter(*session, SessionPhase::kLinkLost);
    directory_.Changed(*session);
    parker_.Park(session);
  }
  if (is_replaced) return;
  std::erase_if(turned_away_, [&](const auto& entry) { return entry.first.first == gateway.instance(); });
  for (auto& [key, checks] : checks_)
    if (key.first == gateway.instance()) checks.done.reset();
  for (auto& [id, actions] : checking_)
    std::erase_if(actions, [&](const WaitingAction& asked) { return asked.gateway == gateway.instance(); });
  for (const auto& shard : shards_.All()) {
    if (!shard) continue;
    shard->attached_gateways.erase(gateway.instance());
    std::erase_if(shard->waiting, [&](const WaitingAction& waiting) {
      if (waiting.gateway != gateway.instance()) return false;
      if (waiting.action.has_attach()) held_.erase(SessionId(waiting.action.session_id()));
      return true;
    });
    std::erase_if(shard->unknown_resumes,
                  [&](const auto& entry) { return entry.second.asked.gateway == gateway.instance(); });
  }
}

std::optional<std::uint32_t> SessionKeeper::ShardNumberFor(const GatewayAction& action) const {
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
    default:
      return std::nullopt;
  }
  return addresses_.ShardOf(user);
}

void SessionKeeper::OnAction(GatewayPeer& gateway, GatewayAction action) {
  Handle(gateway, action, ++arrivals_);
}

void SessionKeeper::Handle(GatewayPeer& gateway, GatewayAction& action, std::uint64_t arrival,
                           bool is_checked) {
  owner_.NoteTime();
  if (action.has_attach_done()) return OnAttachDone(gateway, action.attach_done());
  if (action.has_credentials_lookup()) {
    tasks_.Spawn(
        "credentials.look_up",
        accounts_.LookUpCredentials(gateway.instance(), std::move(*action.mutable_credentials_lookup())));
    return;
  }
  if (action.has_create()) {
    Shard* const home = shards_.Find(addresses_.ShardOf(action.create().user()));
    // What was said to whoever had the name before has to be read first.
    if (home != nullptr && !home->live() && home->waiting.size() < settings_.max_waiting_actions) {
      home->waiting.push_back({gateway.instance(), std::move(action), arrival});
      return;
    }
    tasks_.Spawn("account.create", CreateWhenIdle(home == nullptr ? nullptr : shards_.Shared(home->number),
                                                  gateway.instance(), std::move(*action.mutable_create())));
    return;
  }
  // Everything else is about a session.
  if (!SessionId::FromBytes(action.session_id())) return;

  if (DropUntilAttached(gateway, action, arrival)) return;
  const auto checking = checking_.empty() ? checking_.end() : checking_.find(SessionId(action.session_id()));
  if (checking != checking_.end()) {
    // The first is the attachment that is checked.
    if (checking->second.size() >= settings_.max_waiting_actions)
      return TurnAway(gateway, action, arrival, *ShardNumberFor(checking->second.front().action));
    checking->second.push_back({gateway.instance(), std::move(action), arrival});
    return;
  }
  Shard* shard = nullptr;
  std::shared_ptr<Session> session;
  const std::optional<std::uint32_t> number = ShardNumberFor(action);
  if (number) {
    shard = shards_.Find(*number);
  } else {
    // Of a session that was started, resumed or attached before, or whose attachment still waits.
    const SessionId id(action.session_id());
    session = table_.Find(id);
    if (session) {
      shard = session->user->shard;
    } else if (const auto held = held_.find(id); held != held_.end()) {
      shard = shards_.Find(held->second.shard);
    }
    // Ended here, or its shard has just gone to another owner: there the gateway attaches it and
    // says this again. It must not take our ignorance for the end of the session.
    if (shard == nullptr) return;
  }
  if (shard == nullptr || (shard->epoch < 0 && !IsAttachment(action))) {
    RefuseNotOwner(gateway, action, shard != nullptr ? shard->number : *number);
    return;
  }
  if (!shard->live() && (!action.has_attach() || attacher_.HasToWait(action, *shard))) {
    if (shard->waiting.size() >= settings_.max_waiting_actions)
      return TurnAway(gateway, action, arrival, shard->number);
    if (action.has_attach()) held_[SessionId(action.session_id())] = {shard->number, clock_.Now()};
    shard->waiting.push_back({gateway.instance(), std::move(action), arrival});
    return;
  }
  if (action.has_attach() && !is_checked && shard->has_checked_accounts &&
      !table_.Find(SessionId(action.session_id()))) {
    // Later actions for the session wait with it.
    const SessionId id(action.session_id());
    session::v1::SessionManagerState state = StateOf(action.attach());
    const std::string bare(xmpp::BareOf(action.attach().full_jid()));
    checking_[id].push_back({gateway.instance(), std::move(action), arrival});
    ++checks_[{gateway.instance(), shard->number}].open;
    tasks_.Spawn("session.check", AttachIfCurrent(shards_.Shared(shard->number), id, gateway.instance(), bare,
                                                  std::move(state)));
    return;
  }
  if (session && session->is_unheard && session->gateway == &gateway) resumer_.OnHeard(session);
  switch (action.action_case()) {
    case GatewayAction::kStart:
    case GatewayAction::kResume:
      Admit(gateway, {gateway.instance(), std::move(action), arrival}, *shard);
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
    case GatewayAction::kDelivered:
      if (session && session->gateway == &gateway) deliverer_.OnDelivered(*session, action.delivered().seq());
      break;
    case GatewayAction::kStreamManagementEnable:
      EnableStreamManagement(gateway, action);
      break;
    default:
      break;
  }
}

void SessionKeeper::TurnAway(GatewayPeer& gateway, const GatewayAction& action, std::uint64_t arrival,
                             std::uint32_t number) {
  if (action.has_start() || action.has_resume()) {
    const Shard* const shard = shards_.Find(number);
    if (shard != nullptr)
      RefuseAccess(gateway, action, *shard, absl::ResourceExhaustedError("too much waits for the shard"));
    return;
  }
  const auto [entry, is_first] = turned_away_.try_emplace({gateway.instance(), number});
  if (is_first)
    telemetry::LogWarn("shard.waiting_full", {{"shard", number}, {"gateway", gateway.instance()}});
  TurnedAway& turned_away = entry->second;
  turned_away.sessions.try_emplace(SessionId(action.session_id()), arrival);
  turned_away.lacks_attachments |= action.has_attach();
  turned_away.asked_at.reset();
}

bool SessionKeeper::DropUntilAttached(GatewayPeer& gateway, const GatewayAction& action,
                                      std::uint64_t arrival) {
  if (turned_away_.empty() || action.has_start() || action.has_resume()) return false;
  for (auto it = turned_away_.lower_bound({gateway.instance(), 0});
       it != turned_away_.end() && it->first.first == gateway.instance(); ++it) {
    TurnedAway& turned_away = it->second;
    const auto found = turned_away.sessions.find(SessionId(action.session_id()));
    if (found == turned_away.sessions.end()) continue;
    // One that has waited since before that.
    if (arrival < found->second) return false;
    if (action.has_attach()) {
      turned_away.sessions.erase(found);
      if (turned_away.sessions.empty() && turned_away.asked_at) turned_away_.erase(it);
      return false;
    }
    if (turned_away.asked_at && clock_.Now() - *turned_away.asked_at > kAgainLimit) gateway.Close();
    return true;
  }
  return false;
}

void SessionKeeper::AskAgain(const Shard& shard) {
  for (auto& [key, turned_away] : turned_away_) {
    GatewayPeer* const gateway = key.second == shard.number ? gateways_.Find(key.first) : nullptr;
    if (gateway == nullptr || turned_away.asked_at) continue;
    turned_away.asked_at = clock_.Now();
    turned_away.lacks_attachments = false;
    AddShardOwned(*gateway, shard);
  }
}

void SessionKeeper::OnAttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done) {
  const auto turned_away = turned_away_.find({gateway.instance(), done.shard()});
  if (turned_away != turned_away_.end() && turned_away->second.lacks_attachments) return;
  const auto checks = checks_.find({gateway.instance(), done.shard()});
  if (checks != checks_.end()) {
    // Whoever waits for what the gateway brings waits for all of it.
    checks->second.done = done;
    return;
  }
  attacher_.AttachDone(gateway, done);
  Shard* const attached = shards_.Find(done.shard());
  if (attached != nullptr && attached->live()) resumer_.LookForUnknown(*attached);
}

void SessionKeeper::FinishCheck(const std::string& gateway, std::uint32_t shard) {
  const auto checks = checks_.find({gateway, shard});
  if (--checks->second.open > 0) return;
  const std::optional<session::v1::AttachDone> done = std::move(checks->second.done);
  checks_.erase(checks);
  GatewayPeer* const peer = gateways_.Find(gateway);
  if (done && peer != nullptr) OnAttachDone(*peer, *done);
}

Task<void> SessionKeeper::CreateWhenIdle(std::shared_ptr<Shard> shard, std::string by,
                                         session::v1::AccountCreate request) {
  // Records that are in the log and not read yet were for the last one, too.
  for (runtime::Backoff backoff(kBackendRetries); shard && !shard->released(); co_await backoff.Wait()) {
    const absl::Status read = co_await owner_.AwaitAllRead(shard);
    if (read.ok()) break;
  }
  while (shard && !shard->released()) {
    User* const user = shard->FindUser(request.user());
    // For a user whom nobody has, only a store that is away takes long, which the account needs as well.
    if (user == nullptr || (user->storing == 0 && !user->backlog)) break;
    if (!user->idle) user->idle = std::make_shared<runtime::Event>(co_await asio::this_coro::executor);
    const std::shared_ptr<runtime::Event> idle = user->idle;
    (void)co_await idle->Wait(Deadline::After(kIdlePatience));  // the shard may move
  }
  co_await accounts_.Create(std::move(by), std::move(request));
}

Task<void> SessionKeeper::AttachIfCurrent(std::shared_ptr<Shard> shard, SessionId id, std::string by,
                                          std::string bare, session::v1::SessionManagerState state) {
  const Access access = co_await account_check_.Check(shard, id, std::move(bare), std::move(state));
  std::deque<WaitingAction> waiting = std::move(checking_[id]);
  checking_.erase(id);
  if (shard->released()) waiting.clear();
  for (WaitingAction& entry : waiting) {
    GatewayPeer* const gateway = gateways_.Find(entry.gateway);
    if (gateway == nullptr) continue;
    const bool is_over = entry.action.has_attach() && access != Access::kHolds;
    if (!is_over) {
      Handle(*gateway, entry.action, entry.arrival, /*is_checked=*/true);
    } else if (access == Access::kOtherCredentials && shard->live()) {
      // Its contacts may see it still.
      ends_.EndForgotten(*gateway, *shard, id, entry.action.attach());
    } else {
      AddAction(*gateway, id, *shard).mutable_ended()->set_condition("reset");
    }
  }
  if (shard->live()) AskAgain(*shard);
  FinishCheck(by, shard->number);
}

bool SessionKeeper::HoldsAttachments(const Shard& shard) const {
  return std::any_of(held_.begin(), held_.end(),
                     [&](const auto& entry) { return entry.second.shard == shard.number; });
}

void SessionKeeper::Forget(const Shard& shard) {
  ForgetHeld(shard);
  std::erase_if(turned_away_, [&](const auto& entry) { return entry.first.second == shard.number; });
}

void SessionKeeper::ForgetHeld(const Shard& shard) {
  absl::erase_if(held_, [&](const auto& entry) { return entry.second.shard == shard.number; });
}

void SessionKeeper::OnShardLive(Shard& shard) {
  for (const auto& session : live_.Unparked(shard)) parker_.Park(session);
  ends_.EndConflicts(shard);
  ends_.EndOutdated(shard);
  for (const SessionId& id : live_.TakeBack(shard))
    if (const auto session = table_.Find(id)) parker_.OnPhase(*session);
}

void SessionKeeper::RunWaiting(Shard& shard) {
  // Taken out first: what runs may add.
  std::deque<WaitingAction> waiting = std::move(shard.waiting);
  shard.waiting.clear();
  for (WaitingAction& entry : waiting) {
    if (!entry.action.has_attach()) continue;
    const auto held = held_.find(SessionId(entry.action.session_id()));
    if (held != held_.end()) SessionAttacher::AddWait(clock_.Now() - held->second.since, entry.action);
  }
  ForgetHeld(shard);
  // What clients have sent, and the ends of their sessions, come before the sessions that they begin next: on
  // another gateway, whose actions may lie ahead.
  for (const bool begins : {false, true})
    for (WaitingAction& entry : waiting)
      if ((entry.action.has_start() || entry.action.has_resume()) == begins) Do(std::move(entry));
  AskAgain(shard);
}

void SessionKeeper::Do(WaitingAction waiting) {
  if (GatewayPeer* gateway = gateways_.Find(waiting.gateway))
    Handle(*gateway, waiting.action, waiting.arrival);
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

void SessionKeeper::Admit(GatewayPeer& gateway, WaitingAction&& asked, Shard& shard) {
  const GatewayAction& action = asked.action;
  const std::string& user = action.has_start() ? action.start().user() : action.resume().user();
  const Standing claim = ClaimOf(action);
  if (IsBarred(shard, user, claim)) return RefuseAccess(gateway, action, shard, Removed());
  // Most have asked us for the credentials a moment ago.
  if (claim == Standing{} || accounts_.IsKnownCurrent(user, claim)) return Begin(gateway, asked, shard);
  // Once it has moved, the next owner is asked.
  shard.Spawn("session.admit", AdmitIfCurrent(shards_.Shared(shard.number), std::move(asked), claim));
}

Task<void> SessionKeeper::AdmitIfCurrent(std::shared_ptr<Shard> shard, WaitingAction asked, Standing claim) {
  const GatewayAction& action = asked.action;
  const std::string user = action.has_start() ? action.start().user() : action.resume().user();
  const auto newest_change = [&] {
    const EndedSessions::CredentialsChange* const change = live_.EndedOf(*shard).ChangeOf(user);
    return change != nullptr ? change->offset : -1;
  };
  const std::int64_t before = newest_change();
  const absl::Status current = co_await accounts_.Check(user, claim);
  GatewayPeer* const gateway = gateways_.Find(asked.gateway);
  if (gateway == nullptr) co_return;
  if (!shard->live() || newest_change() != before) {
    // It waits with the others, or the answer may be an older one: it is asked about again.
    Handle(*gateway, asked.action, asked.arrival);
    co_return;
  }
  if (!current.ok()) {
    RefuseAccess(*gateway, action, *shard, current);
  } else if (IsBarred(*shard, user, claim)) {
    RefuseAccess(*gateway, action, *shard, Removed());
  } else {
    Begin(*gateway, asked, *shard);
  }
}

bool SessionKeeper::IsBarred(const Shard& shard, const std::string& user, const Standing& claim) const {
  return live_.EndedOf(shard).IsBarred(user, claim.generation) ||
         (claim.generation == 0 && shard.removals.contains(user));
}

void SessionKeeper::RefuseAccess(GatewayPeer& gateway, const GatewayAction& action, const Shard& shard,
                                 const absl::Status& why) {
  SessionManagerAction& reply = AddAction(gateway, SessionId(action.session_id()), shard);
  if (action.has_resume()) reply.mutable_resumed()->set_attempt(action.resume().attempt());
  session::v1::Failure& failure = action.has_start() ? *reply.mutable_started()->mutable_failure()
                                                     : *reply.mutable_resumed()->mutable_failure();
  if (absl::IsPermissionDenied(why)) {
    SetFailure(failure, xmpp::ErrorCondition::kNotAuthorized, Message(why));
  } else {
    SetFailure(failure, why);
    failure.set_temporary(true);
  }
}

void SessionKeeper::Begin(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard) {
  if (asked.action.has_start()) return Start(gateway, asked, shard);
  resumer_.Resume(gateway, asked, shard);
}

void SessionKeeper::Start(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard) {
  const SessionId id(asked.action.session_id());
  const auto& request = asked.action.start();
  if (const auto existing = table_.Find(id)) {
    // Sent again after a broken link: the answer was lost.
    if (existing->user->bare == request.user()) {
      gateways_.Assign(*existing, &gateway);
      if (IsAway(existing->phase())) live_.Enter(*existing, SessionPhase::kConnected);
      directory_.Changed(*existing);
      AddAction(*existing).mutable_started()->set_full_jid(std::string(existing->jid.str()));
      outbox_.SendState(*existing);
    } else {
      SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kConflict, "the session's name is taken");
    }
    return;
  }
  if (live_.EndedOf(shard).IsOver(id, 0)) {
    // An action that was carried out before, whose session has ended since.
    SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
               xmpp::ErrorCondition::kConflict, "the session is over");
    return;
  }
  User& user = shard.GetUser(request.user());
  if (static_cast<std::int64_t>(user.sessions.size()) >= settings_.max_sessions_per_user &&
      (request.resource().empty() || user.FindResource(request.resource()) == nullptr)) {
    SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
               xmpp::ErrorCondition::kResourceConstraint, "too many sessions");
    users_.MaybeForget(user);
    return;
  }
  std::string resource = request.resource();
  if (resource.empty()) {
    resource = RandomToken(9);
  } else if (Session* old = user.FindResource(resource)) {
    // RFC 6120 section 7.7.2.2: the newer wins. It begins when the older one has ended; all that the
    // client of a session that is closed in order has sent there is applied before.
    if (old->arrival > asked.arrival) {
      SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kConflict, "replaced by a newer session");
    } else if (!live_.RunAfterEnd(*old, asked)) {
      SetFailure(*AddAction(gateway, id, shard).mutable_started()->mutable_failure(),
                 xmpp::ErrorCondition::kResourceConstraint, "too many sessions of this name");
    } else if (old->phase() != SessionPhase::kClosing) {
      ends_.End(table_.Find(old->id), "conflict", "replaced by a new session");
    }
    return;
  }
  auto session = std::make_shared<Session>();
  session->id = id;
  session->arrival = asked.arrival;
  session->jid = xmpp::Jid::FromTrusted(request.user() + "/" + resource);
  session->state.set_started_at_ms(clock_.UnixMillisNow());
  session->state.set_start_offset(shard.window.next_offset() - 1);
  session->state.set_account_generation(request.account_generation());
  session->state.set_credentials_version(request.credentials_version());
  session->last_offset = session->state.start_offset();
  live_.Add(user, session);
  gateways_.Assign(*session, &gateway);
  directory_.Changed(*session);
  metrics_.sessions_started.Increment();
  AddAction(*session).mutable_started()->set_full_jid(std::string(session->jid.str()));
  outbox_.SendState(*session);
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("session.started",
                        {{"user", telemetry::HashedJid(user.bare)}, {"shard", shard.number}});
}

// ---- stanzas of the client --------------------------------------------------

void SessionKeeper::OnStanza(GatewayPeer& gateway, GatewayAction& action) {
  const auto session = table_.Find(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway || session->ended()) return;
  session::v1::ClientStanza& stanza = *action.mutable_stanza();
  if (stanza.count() <= session->inbound.received()) {
    // Sent again after a new link: the confirmation was lost or is still to come.
    metrics_.stanzas_repeated.Increment();
    confirmations_.ConfirmLater(session);
    return;
  }
  if (stanza.count() != session->inbound.received() + 1) {
    // A gap can only come from a fault of ours: the stream cannot go on.
    telemetry::LogError("session.count_gap",
                        {{"expected", session->inbound.received() + 1}, {"got", stanza.count()}});
    ends_.End(session, "internal-server-error");
    return;
  }
  session->inbound.Receive();
  session->inbound.NoteSeenConfirmed(stanza.confirmed_count());
  if (IsAway(session->phase())) parker_.OnReceivedWhileAway(*session);
  metrics_.stanzas_received.Increment();
  client_stanzas_.Take(session, stanza);
}

void SessionKeeper::OnAllConfirmed(const std::shared_ptr<Session>& session) {
  if (session->phase() == SessionPhase::kClosing) {
    ends_.End(session, {});
    return;
  }
  parker_.Park(session);
  resumer_.TryAgain(session);
}

void SessionKeeper::OnRowTold(const std::shared_ptr<Session>& session) {
  if (session->ended() || session->row.misleads) return;
  confirmations_.ConfirmLater(session);
  resumer_.TryAgain(session);
}

// A gateway may have brought an older one, which the owner that has begun this one did not see.
void SessionKeeper::OnRestored(Session& session) { ends_.EndOlder(session); }

void SessionKeeper::EnableStreamManagement(GatewayPeer& gateway, const GatewayAction& action) {
  const auto session = table_.Find(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway) return;
  session->management =
      action.stream_management_enable().resume() ? StreamManagement::kResumable : StreamManagement::kOn;
  session->base_seq = action.stream_management_enable().base_seq();
  resumer_.TryAgain(session);
}

// ---- end --------------------------------------------------------------------

void SessionKeeper::OnEnd(GatewayPeer& gateway, const GatewayAction& action) {
  const auto session = table_.Find(SessionId(action.session_id()));
  if (!session || session->gateway != &gateway) {
    // Replaced or resumed elsewhere: over for this gateway.
    if (session) AddAction(gateway, session->id, *session->user->shard).mutable_ended();
    return;
  }
  if (IsEnding(session->phase())) return;
  if (action.end().reason() == session::v1::END_REASON_CONNECTION_LOST && session->is_resumable() &&
      session->phase() != SessionPhase::kClosing) {
    if (!IsAway(session->phase()) || session->phase() == SessionPhase::kLinkLost) {
      live_.Enter(*session, SessionPhase::kAway);
      directory_.Changed(*session);
    }
    parker_.Park(session);
    return;
  }
  if (!session->inbound.is_all_confirmed()) {
    // Until the log has everything that the client sent before it closed, the gateway keeps it.
    if (session->phase() != SessionPhase::kClosing) live_.Enter(*session, SessionPhase::kClosing);
    return;
  }
  ends_.End(session, {});
}

// ---- time -------------------------------------------------------------------

void SessionKeeper::Sweep(Shard& shard) {
  while (const auto session = live_.TakeDue(shard)) OnDue(session);
  resumer_.LookForUnknown(shard);
  live_.Expire(shard);
}

void SessionKeeper::OnDue(const std::shared_ptr<Session>& session) {
  const SteadyTime now = clock_.Now();
  if (session->resume_waits && session->resume_waits->limit <= now) resumer_.GiveUp(session);
  const auto limit = session->is_resumable() ? settings_.resume_timeout : settings_.link_grace;
  if (IsAway(session->phase()) && now - session->detached_since >= limit) {
    ends_.EndTimedOut(session);
  } else {
    live_.Schedule(*session);
  }
}

}  // namespace rookery::session_manager
