#include "adapters/session_links.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "adapters/session_actions.h"
#include "rookery/base/check.h"
#include "rookery/base/random.h"
#include "rookery/events/homes.h"
#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

constexpr std::chrono::milliseconds kTick{1'000};
// More than a session-manager of ours can have.
constexpr std::uint32_t kMaxShards = 65'536;
// A session-manager's shards may have 100,000 clients: sent away in portions.
constexpr std::size_t kSentAwayInOneTurn = 256;
/// A shard that is full has room for so many times as much, for sessions that did not fill it, while all
/// shards together have room.
constexpr std::size_t kReserve = 4;

void SetSession(GatewayAction& action, const ClientSession& session) {
  action.set_session_id(std::string(session.id.bytes()));
}

}  // namespace

SessionLinks::SessionLinks(asio::io_context& io, const Clock& clock, LinkPool::Open open,
                           SessionLinksOptions options, GatewayIdentity self, telemetry::Metrics& metrics)
    : io_(io),
      clock_(clock),
      options_(options),
      requests_(options.max_actions, options.max_action_bytes),
      standstill_(clock.Now()),
      metrics_(metrics),
      links_(io, std::move(open), std::move(self), *this, metrics),
      due_timer_(io),
      tick_(io.get_executor(),
            std::min(kTick, std::max(options.owner_timeout / 4, std::chrono::milliseconds(10))),
            [this] { Tick(); }) {
  by_shard_.push_back(std::make_unique<Shard>());
  metrics.OnScrape([this] {
    std::size_t unread = 0;
    for (const auto& shard : by_shard_) unread += shard->gate.size();
    metrics_.sessions.Set(static_cast<double>(sessions_.size()));
    metrics_.shards_owned.Set(shards_.owned());
    metrics_.waiting.Set(static_cast<double>(requests_.size()));
    metrics_.unconfirmed_bytes.Set(static_cast<double>(unconfirmed_bytes_));
    metrics_.unread.Set(static_cast<double>(unread));
  });
}

SessionLinks::~SessionLinks() = default;

void SessionLinks::Post(void (SessionLinks::*call)()) {
  asio::post(io_, lifetime_.While([this, call] { (this->*call)(); }));
}

// ---- requests ----------------------------------------------------------------

std::uint32_t SessionLinks::ShardOfUser(std::string_view user) const {
  return shards_.count() == 0 ? 0 : events::ShardOfAccount(user, shards_.count());
}

Cluster::RequestId SessionLinks::LookUp(std::string_view user, OnLookup done) {
  return AddRequest(LookupRequest{std::string(user), std::move(done)});
}

Cluster::RequestId SessionLinks::CreateAccount(std::string_view user, std::string_view password,
                                               OnCreated done) {
  return AddRequest(CreateRequest{std::string(user), std::string(password), std::move(done)});
}

Cluster::RequestId SessionLinks::Start(const Identity& identity, std::string_view resource,
                                       SessionClient& client, OnStarted done) {
  return AddRequest(
      StartRequest{identity, std::string(resource), SessionId::Random(), &client, std::move(done)});
}

Cluster::RequestId SessionLinks::Resume(SessionId session, const Identity& identity, std::uint32_t handled,
                                        SessionClient& client, OnResumed done) {
  const RequestId request = AddRequest(ResumeRequest{identity, session, handled, &client, std::move(done)});
  // What its old connection brings from here on is not counted in the answer, and its client sends it again
  // over the new one.
  const auto old = sessions_.find(session);
  if (old != sessions_.end() && old->second->user() == identity.user) LeaveConnection(*old->second);
  return request;
}

Cluster::RequestId SessionLinks::AddRequest(Requests::What what) {
  const std::uint32_t shard = ShardOfUser(UserOf(what));
  const RequestId id = requests_.Add(std::move(what), shard, Now() + options_.action_timeout);
  Requests::Request& request = *requests_.Find(id);
  if (Requests::IsRefused(request)) {
    // Answered from the loop, never from within the call.
    Post(&SessionLinks::FailDue);
  } else {
    Dispatch(id, request);
    if (requests_.size() == 1) AwaitDue();
  }
  return id;
}

void SessionLinks::Dispatch(RequestId id, Requests::Request& request) {
  const LinkId owner = shards_.OwnerOf(request.shard);
  rpc::GatewayLink* link = links_.Find(owner);
  if (link == nullptr) return;  // it waits for HandleShardOwned
  // After a standstill links speak before the timer does. Whoever asked may have given up, and be elsewhere.
  if (request.deadline <= Now()) return;
  request.sent_to = owner;
  FillRequest(request.what, id, &link->Add());
}

void SessionLinks::Cancel(RequestId request) {
  if (requests_.Find(request) == nullptr) return;
  const Requests::What what = requests_.Take(request);
  if (const auto* resume = std::get_if<ResumeRequest>(&what)) OnNotResumed(resume->session);
}

void SessionLinks::OnNotResumed(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || !IsEndDue(*found->second)) return;
  if (rpc::GatewayLink* link = OwnerLink(found->second->shard)) SendEnd(*found->second, *link);
}

void SessionLinks::FailDue() {
  const SteadyTime now = Now();
  while (const auto due = requests_.Due(now)) {
    metrics_.overdue.Increment();
    const Requests::What what = requests_.Take(*due);
    if (const auto* resume = std::get_if<ResumeRequest>(&what)) OnNotResumed(resume->session);
    FailTemporarily(what);
  }
  AwaitDue();
}

void SessionLinks::AwaitDue() {
  const auto first = requests_.FirstDeadline();
  if (!first) return;
  due_timer_.expires_at(*first);
  due_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) FailDue();
  });
}

bool SessionLinks::RetryElsewhere(LinkId link, RequestId id, const session::v1::Failure& failure) {
  if (!failure.not_owner()) return false;
  Requests::Request& request = *requests_.Find(id);
  if (request.sent_to != link) return true;  // it is with the next owner already
  request.sent_to = 0;
  if (shards_.OwnerOf(request.shard) == link) {
    shards_.Disown(request.shard, link);
    const SteadyTime now = Now();
    by_shard_[request.shard]->watch.OnDisowned(now, standstill_.LastTouch(now));
  }
  Dispatch(id, request);
  return true;
}

// ---- what the links say ------------------------------------------------------

void SessionLinks::OnLinkAction(LinkId link, SessionManagerAction action) {
  if (!now_) now_ = Now();
  JudgeStandstill();
  switch (action.action_case()) {
    case SessionManagerAction::kHello:
      return HandleHello(link, action.hello());
    case SessionManagerAction::kShardOwned:
      return HandleShardOwned(link, action.shard_owned().shard(), action.shard_owned().epoch());
    default:
      break;
  }
  if (shards_.count() == 0) return;

  // These say which request they answer, and may say that the epoch is not theirs.
  const bool not_owner = action.started().failure().not_owner() || action.resumed().failure().not_owner() ||
                         action.credentials().failure().not_owner() || action.created().failure().not_owner();
  if (!not_owner && shards_.IsStale(action.shard(), action.epoch())) {
    metrics_.stale.Increment();
    return;
  }
  switch (action.action_case()) {
    case SessionManagerAction::kPacket:
      if (link == shards_.OwnerOf(action.shard()))
        NoteRead(*by_shard_[action.shard()], action.packet(), action.epoch());
      return HandlePacket(*action.mutable_packet(), action.epoch());
    case SessionManagerAction::kCredentials:
      return HandleCredentials(link, action.credentials());
    case SessionManagerAction::kCreated:
      return HandleCreated(link, action.created());
    default:
      break;
  }
  const auto id = SessionId::FromBytes(action.session_id());
  if (!id) return;
  if (action.has_started()) return HandleStarted(link, *id, action.started());
  if (action.has_resumed()) return HandleResumed(link, *id, action.resumed());

  const auto found = sessions_.find(*id);
  if (found == sessions_.end()) return;
  ClientSession& session = *found->second;
  if (!action.has_attached()) session.known_epoch = action.epoch();
  switch (action.action_case()) {
    case SessionManagerAction::kConfirmed:
      return HandleConfirmed(session, action.confirmed().count());
    case SessionManagerAction::kEnded:
      return HandleEnded(session, action.ended().condition(), action.ended().text(), action.ended().keep());
    case SessionManagerAction::kState:
      session.state = std::move(*action.mutable_state()->mutable_state());
      return;
    case SessionManagerAction::kParked:
      if (session.client == nullptr) RemoveSession(session);
      return;
    case SessionManagerAction::kAttached:
      if (!action.attached().has_failure() || action.attached().failure().not_owner()) return;
      return HandleEnded(session, action.attached().failure().condition(), action.attached().failure().text(),
                         /*keep=*/false);
    default:
      return;
  }
}

void SessionLinks::OnLinkFrameEnd() {
  now_.reset();
  // OnBatchEnd may end sessions and so change batch_.
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    ClientSession* session = batch_[i];
    if (session == nullptr) continue;
    session->in_batch = false;
    if (session->client != nullptr) session->client->OnBatchEnd();
  }
  batch_.clear();
}

void SessionLinks::OnLinkUncongested(LinkId link) {
  for (std::uint32_t number = 0; number < shards_.count(); ++number) {
    if (shards_.OwnerOf(number) == link) Wake(number);
  }
}

void SessionLinks::OnLinkDown(LinkId link) {
  OnLinkFrameEnd();
  const SteadyTime now = Now();
  JudgeStandstill();
  const bool is_aftermath = standstill_.IsAftermath(now);
  for (const std::uint32_t number : shards_.DropLink(link)) {
    Shard& shard = *by_shard_[number];
    shard.watch.OnDisowned(now, standstill_.LastTouch(now));
    if (is_aftermath) SendAwayUnheard(shard);
    Wake(number);  // those who wait for room on the link
  }
}

void SessionLinks::HandleHello(LinkId link, const session::v1::SessionManagerHello& hello) {
  if (shards_.count() == 0) {
    if (hello.shard_count() == 0 || hello.shard_count() > kMaxShards) {
      telemetry::LogError("link.bad_hello",
                          {{"peer", hello.instance()}, {"shard_count", hello.shard_count()}});
      return;
    }
    shards_.Resize(hello.shard_count());
    by_shard_.clear();
    while (by_shard_.size() < hello.shard_count()) by_shard_.push_back(std::make_unique<Shard>());
    requests_.SetShards(hello.shard_count(), [this](std::string_view user) { return ShardOfUser(user); });
  } else if (hello.shard_count() != shards_.count()) {
    telemetry::LogError(
        "link.bad_hello",
        {{"peer", hello.instance()}, {"shard_count", hello.shard_count()}, {"expected", shards_.count()}});
    return;
  }
  LearnFacts(hello);
  for (const auto& owned : hello.shards()) HandleShardOwned(link, owned.shard(), owned.epoch());
}

void SessionLinks::LearnFacts(const session::v1::SessionManagerHello& hello) {
  // One of an earlier release says nothing; what is known of a later one stays.
  if (hello.resumption_timeout_s() != 0) facts_.resumption_seconds = hello.resumption_timeout_s();
  standstill_.Learn(std::chrono::milliseconds(hello.link_grace_ms()),
                    std::chrono::milliseconds(hello.duplicate_horizon_ms()));
  for (const auto& caps : hello.caps()) {
    if (caps.domain().empty() || caps.caps_node().empty() || caps.caps_ver().empty()) continue;
    facts_.caps[caps.domain()] = {caps.caps_node(), caps.caps_ver()};
  }
}

void SessionLinks::HandleShardOwned(LinkId link, std::uint32_t number, std::int64_t epoch) {
  const SteadyTime now = Now();
  if (number < shards_.count() && epoch == shards_.EpochOf(number)) {
    // The owner that we lost is back: if it had to wait for too long, it has ended the sessions
    // that cannot be resumed, and told their contacts.
    const auto grace = standstill_.link_grace();
    Shard& lost = *by_shard_[number];
    if (grace.count() > 0 && lost.watch.WasLostFor(now, grace)) SendAwayUnheard(lost);
  }
  rpc::GatewayLink* owner = links_.Find(link);
  if (!shards_.Claim(number, epoch, link)) {
    // Its owner had no room for all that we have said, and has now.
    const bool is_again = epoch == shards_.EpochOf(number) && link == shards_.OwnerOf(number);
    if (is_again && owner != nullptr)
      AttachAll(number, epoch, now - by_shard_[number]->in_reach_until, *owner);
    return;
  }
  Shard& shard = *by_shard_[number];
  if (owner == nullptr) {
    shards_.Disown(number, link);
    return shard.watch.OnDisowned(now, standstill_.LastTouch(now));
  }
  const SteadyTime::duration out_of_reach = OutOfReach(shard, now);
  shard.watch.OnOwned();
  shard.in_reach_until = now - out_of_reach;

  AttachAll(number, epoch, out_of_reach, *owner);
  Wake(number);

  for (const RequestId id : requests_.InShard(number)) {
    Requests::Request* request = requests_.Find(id);
    if (request == nullptr) continue;
    // Whether the old owner made the account cannot be known: asking the new one
    // could answer `conflict` to who has just got it.
    if (request->sent_to != 0 && std::holds_alternative<CreateRequest>(request->what)) {
      FailTemporarily(requests_.Take(id));
    } else {
      Dispatch(id, *request);
    }
  }
}

void SessionLinks::AttachAll(std::uint32_t number, std::int64_t epoch, SteadyTime::duration out_of_reach,
                             rpc::GatewayLink& link) {
  const Shard& shard = *by_shard_[number];
  for (ClientSession* session : shard.sessions) Attach(*session, out_of_reach, link);
  auto* done = link.Add().mutable_attach_done();
  done->set_shard(number);
  done->set_epoch(epoch);
  if (shard.sessions.empty()) return;
  telemetry::LogInfo(
      "shard.attached",
      {{"shard", number},
       {"epoch", epoch},
       {"sessions", shard.sessions.size()},
       {"out_of_reach_ms", std::chrono::duration_cast<std::chrono::milliseconds>(out_of_reach).count()}});
}

void SessionLinks::Attach(ClientSession& session, SteadyTime::duration out_of_reach, rpc::GatewayLink& link) {
  GatewayAction& action = link.Add();
  SetSession(action, session);
  FillAttach(session, out_of_reach, action.mutable_attach());
  metrics_.attached.Increment();
  const auto& unconfirmed = session.inbound.unconfirmed();
  for (std::size_t i = 0; i < unconfirmed.size(); ++i) {
    GatewayAction& again = link.Add();
    SetSession(again, session);
    ROOKERY_CHECK(again.mutable_stanza()->ParseFromString(unconfirmed[i].bytes));
    metrics_.resent.Increment();
  }
  if (IsEndDue(session)) SendEnd(session, link);
}

void SessionLinks::HandleStarted(LinkId link, SessionId id, const session::v1::SessionStarted& started) {
  const RequestId request_id = requests_.StartOf(id);
  if (request_id == 0) {
    // The client is gone meanwhile, or could not wait.
    if (!started.has_failure() && !sessions_.contains(id)) {
      End(AddSession(id, started.full_jid(), nullptr), EndReason::kConnectionLost);
    }
    return;
  }
  if (started.has_failure() && RetryElsewhere(link, request_id, started.failure())) return;
  const auto request = std::get<StartRequest>(requests_.Take(request_id));
  if (started.has_failure()) return request.done(nullptr, ToActionFailure(started.failure()));
  request.done(&AddSession(id, started.full_jid(), request.client), {});
}

void SessionLinks::HandleResumed(LinkId link, SessionId id, const session::v1::SessionResumed& resumed) {
  const Requests::Request* found = requests_.Find<ResumeRequest>(resumed.attempt());
  const bool wanted = found != nullptr && std::get<ResumeRequest>(found->what).session == id;
  if (resumed.has_failure()) {
    if (!wanted || RetryElsewhere(link, resumed.attempt(), resumed.failure())) return;
    const auto request = std::get<ResumeRequest>(requests_.Take(resumed.attempt()));
    OnNotResumed(id);
    return request.done(ToRefusal(resumed));
  }

  // The session may still be here, on the connection that it had before.
  if (const auto old = sessions_.find(id); old != sessions_.end())
    HandleEnded(*old->second, "conflict", {}, /*keep=*/false);
  std::optional<ResumeRequest> request;
  // The end of the old connection may have taken it back.
  if (wanted && requests_.Find(resumed.attempt()) != nullptr)
    request = std::get<ResumeRequest>(requests_.Take(resumed.attempt()));
  ClientSession& session = AddSession(id, resumed.full_jid(), request ? request->client : nullptr);
  session.inbound.Restore(resumed.inbound_count());
  session.outbound.Restore(resumed.base_seq(), resumed.acked_seq(), resumed.acked_offset());
  session.state = resumed.state();
  if (!request) return End(session, EndReason::kConnectionLost);
  // So its owner knows that we have it.
  Delivered(session);
  Resumption resumption;
  resumption.session = &session;
  request->done(resumption);
}

void SessionLinks::HandleCredentials(LinkId link, const session::v1::Credentials& credentials) {
  const RequestId id = credentials.request_id();
  if (requests_.Find<LookupRequest>(id) == nullptr) return;
  if (credentials.has_failure() && RetryElsewhere(link, id, credentials.failure())) return;
  std::get<LookupRequest>(requests_.Take(id))
      .done({credentials.has_failure(), ToScramKeys(credentials), credentials.version(),
             credentials.generation()});
}

void SessionLinks::HandleCreated(LinkId link, const session::v1::AccountCreated& created) {
  const RequestId id = created.request_id();
  if (requests_.Find<CreateRequest>(id) == nullptr) return;
  if (created.has_failure() && RetryElsewhere(link, id, created.failure())) return;
  const auto request = std::get<CreateRequest>(requests_.Take(id));
  if (!created.has_failure()) return request.done(nullptr);
  const ActionFailure refusal = ToActionFailure(created.failure());
  request.done(&refusal);
}

bool SessionLinks::IsNew(const session::v1::Packet& packet) {
  return std::any_of(packet.targets().begin(), packet.targets().end(), [&](const auto& target) {
    const ClientSession* const session = FindSession(target.session_id());
    return session != nullptr && session->outbound.Classify(target.seq()) == OutboundWindow::Arrival::kNext;
  });
}

void SessionLinks::NoteRead(Shard& shard, const session::v1::Packet& packet, std::int64_t epoch) {
  if (packet.stored_id() != 0 || packet.offset() < 0) return;
  // To an owner under whom, or before whom, the log was cut, lower offsets are new ones.
  const bool may_be_cut = epoch > shard.newest_epoch;
  if (packet.offset() <= shard.newest_offset && !(may_be_cut && IsNew(packet))) return;
  shard.newest_offset = packet.offset();
  shard.newest_epoch = epoch;
  shard.watch.OnTaken(Now());
}

void SessionLinks::HandlePacket(session::v1::Packet& packet, std::int64_t epoch) {
  const bool kept = packet.offset() < 0 && packet.stored_id() == 0;
  for (const auto& target : packet.targets()) {
    ClientSession* session = FindSession(target.session_id());
    if (session == nullptr) continue;
    session->known_epoch = epoch;
    switch (session->outbound.Classify(target.seq())) {
      case OutboundWindow::Arrival::kNext:
        break;
      case OutboundWindow::Arrival::kDuplicate:
        metrics_.duplicates.Increment();
        continue;
      case OutboundWindow::Arrival::kGap:
        // To go on would make the client's h disagree with ours for good; a resumption
        // brings what is missing.
        metrics_.gaps.Increment();
        telemetry::LogError("session.packet_gap", {{"jid", telemetry::HashedJid(session->user())},
                                                   {"expected", session->outbound.last_seq() + 1},
                                                   {"seq", target.seq()}});
        if (session->client != nullptr) Detach(*session, "internal-server-error", {});
        continue;
    }
    // A stanza that is kept for the next owner must not be addressed to anybody else.
    if (kept && packet.to_each()) packet.mutable_stanza()->set_to(session->full_jid);
    session->outbound.Add(packet.offset(), packet.stored_id(), packet.stanza(), packet.dispensable());
    if (telemetry::IsLogged(telemetry::Level::kDebug)) {
      telemetry::LogDebug("packet.received", {{"trace_id", telemetry::TraceId(packet.trace_id())},
                                              {"jid", telemetry::HashedJid(session->user())},
                                              {"seq", target.seq()}});
    }
    if (session->client == nullptr) continue;
    Touch(*session);
    session->client->OnPacket(packet.stanza(),
                              packet.to_each() ? std::string_view(session->full_jid) : std::string_view());
  }
}

void SessionLinks::HandleConfirmed(ClientSession& session, std::uint64_t count) {
  const SteadyTime now = Now();
  std::size_t released = 0;
  bool is_any_logged = false;
  session.inbound.Confirm(count, [&](const InboundWindow::Entry& entry) {
    released += InboundWindow::SizeOf(entry);
    is_any_logged |= entry.is_logged;
    metrics_.confirm_seconds.Observe(std::chrono::duration<double>(now - entry.received).count());
  });
  if (released == 0) return;
  Shard& shard = *by_shard_[session.shard];
  if (is_any_logged) shard.watch.OnTaken(now);
  Release(shard, released);
  Wake(session.shard);
  if (session.client == nullptr) return;
  Touch(session);
  session.client->OnConfirmed();
}

void SessionLinks::HandleEnded(ClientSession& session, std::string_view condition, std::string_view text,
                               bool keep) {
  SessionClient* client = session.client;
  if (!condition.empty()) {
    telemetry::LogInfo("session.ended_by_owner", {{"jid", telemetry::HashedJid(session.user())},
                                                  {"condition", condition},
                                                  {"connected", client != nullptr}});
  }
  if (keep) {
    End(session, EndReason::kClosed);
  } else {
    RemoveSession(session);
  }
  if (client != nullptr) client->OnSessionEnded(condition, text);
}

// ---- sessions ----------------------------------------------------------------

ClientSession& SessionLinks::AddSession(SessionId id, std::string_view full_jid, SessionClient* client) {
  auto session = std::make_unique<ClientSession>(id, full_jid);
  session->client = client;
  session->shard = ShardOfUser(session->user());
  // That it is there is what its owner has just said.
  session->known_epoch = shards_.EpochOf(session->shard);
  auto& list = by_shard_[session->shard]->sessions;
  session->slot = static_cast<std::uint32_t>(list.size());
  list.push_back(session.get());
  return *sessions_.insert_or_assign(id, std::move(session)).first->second;
}

void SessionLinks::RemoveSession(ClientSession& session) {
  if (session.in_batch)
    std::replace(batch_.begin(), batch_.end(), &session, static_cast<ClientSession*>(nullptr));
  Shard& shard = *by_shard_[session.shard];
  auto& list = shard.sessions;
  list[session.slot] = list.back();
  list[session.slot]->slot = session.slot;
  list.pop_back();
  Release(shard, session.inbound.unconfirmed_bytes());
  const std::uint32_t number = session.shard;
  sessions_.erase(SessionId(session.id));
  Wake(number);
}

ClientSession* SessionLinks::FindSession(const std::string& id_bytes) {
  const auto id = SessionId::FromBytes(id_bytes);
  if (!id) return nullptr;
  const auto found = sessions_.find(*id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void SessionLinks::Touch(ClientSession& session) {
  if (session.in_batch) return;
  session.in_batch = true;
  batch_.push_back(&session);
}

void SessionLinks::SendStanza(ClientSession& session, xmpp::Stanza stanza,
                              std::optional<xmpp::ErrorCondition> refused) {
  const SteadyTime now = Now();
  Shard& shard = *by_shard_[session.shard];
  const auto fill = [&](session::v1::ClientStanza& action) {
    action.set_count(session.inbound.next_count());
    action.set_confirmed_count(session.inbound.confirmed());
    action.set_trace_id(RandomU64());
    action.set_received_at_ms(clock_.UnixMillisNow());
    if (refused) {
      action.set_to_malformed(true);
      action.set_refused(std::string(xmpp::Name(*refused)));
    }
    // Presence that nobody is to hear and requests to the server need no log.
    const bool is_logged = !refused && stanza.kind() == common::v1::STANZA_KIND_MESSAGE;
    action.mutable_stanza()->Swap(&stanza);
    const std::size_t bytes = session.inbound.Add(action.SerializeAsString(), now, is_logged);
    unconfirmed_bytes_ += bytes;
    shard.unconfirmed_bytes += bytes;
    if (telemetry::IsLogged(telemetry::Level::kDebug)) {
      telemetry::LogDebug("stanza.received", {{"trace_id", telemetry::TraceId(action.trace_id())},
                                              {"jid", telemetry::HashedJid(session.user())},
                                              {"count", action.count()}});
    }
  };
  if (rpc::GatewayLink* link = OwnerLink(session.shard)) {
    GatewayAction& action = link->Add();
    SetSession(action, session);
    fill(*action.mutable_stanza());
  } else {
    // Attach sends it once the shard has an owner.
    session::v1::ClientStanza action;
    fill(action);
  }
  shard.watch.OnSaid(now);
}

void SessionLinks::StreamManagementEnabled(ClientSession& session) {
  rpc::GatewayLink* link = OwnerLink(session.shard);
  if (link == nullptr) return;
  GatewayAction& action = link->Add();
  SetSession(action, session);
  FillStreamManagement(session, action.mutable_stream_management_enable());
}

void SessionLinks::Delivered(ClientSession& session) {
  rpc::GatewayLink* link = OwnerLink(session.shard);
  if (link == nullptr) return;
  GatewayAction& action = link->Add();
  SetSession(action, session);
  action.mutable_delivered()->set_seq(session.outbound.acked_seq());
}

void SessionLinks::End(ClientSession& session, EndReason reason) {
  session.client = nullptr;
  session.waiting.Leave();
  session.end = reason;
  if (!IsEndDue(session)) return;
  if (rpc::GatewayLink* link = OwnerLink(session.shard)) SendEnd(session, *link);
}

bool SessionLinks::IsEndDue(const ClientSession& session) const {
  // Both connections go by the session's id. Once the owner has resumed it, that the old connection is
  // lost would be taken for the loss of the new one.
  const bool is_told_otherwise =
      session.end == EndReason::kConnectionLost && requests_.IsResuming(session.id);
  return session.end != EndReason::kNone && !is_told_otherwise;
}

void SessionLinks::SendEnd(ClientSession& session, rpc::GatewayLink& link) {
  GatewayAction& action = link.Add();
  SetSession(action, session);
  FillEnd(session, action.mutable_end());
}

// ---- who is not read ---------------------------------------------------------

std::size_t SessionLinks::MaxShardBytes() const {
  if (options_.max_shard_unconfirmed_bytes != 0) return options_.max_shard_unconfirmed_bytes;
  return ShardPart();
}

std::size_t SessionLinks::ShardPart() const {
  return options_.max_unconfirmed_bytes / std::max<std::size_t>(1, shards_.count());
}

bool SessionLinks::IsFull(const Shard& shard, std::uint32_t number) const {
  if (shard.unconfirmed_bytes >= MaxShardBytes()) return true;
  if (AreAllFull() && shard.unconfirmed_bytes >= ShardPart()) return true;
  const rpc::GatewayLink* link = OwnerLink(number);
  return link != nullptr && link->is_congested();
}

bool SessionLinks::MayGoOn(const Shard& shard, const ClientSession& session) const {
  // The stanzas that fill the shard may be on their way to a partition that stands still, and its owner
  // answers all others. A session with nothing unconfirmed has no part in it.
  const rpc::GatewayLink* link = OwnerLink(session.shard);
  return link != nullptr && !link->is_congested() && session.inbound.unconfirmed().empty() &&
         shard.unconfirmed_bytes < kReserve * MaxShardBytes() && !AreAllFull();
}

// Asked once a stanza has come, so that each session may bring one to a full shard. To pause sessions sooner
// would leave unread what needs no log, such as the end of a stream, and save no more than a parser may hold.
bool SessionLinks::MayRead(ClientSession& session) {
  Shard& shard = *by_shard_[session.shard];
  if (IsFull(shard, session.shard) && !MayGoOn(shard, session)) {
    shard.gate.Enter(session, session.waiting);
    return false;
  }
  session.waiting.Leave();
  return true;
}

void SessionLinks::Release(Shard& shard, std::size_t bytes) {
  unconfirmed_bytes_ -= bytes;
  shard.unconfirmed_bytes -= bytes;
  if (shard.unconfirmed_bytes == 0) shard.watch.OnSettled();
}

void SessionLinks::Wake(std::uint32_t number) {
  Shard& shard = *by_shard_[number];
  // Not for each of a few stanzas.
  if (shard.is_waking || shard.gate.empty() || shard.unconfirmed_bytes > MaxShardBytes() / 4 * 3) return;
  shard.is_waking = true;
  asio::post(io_, lifetime_.While([this, number] { WakeShard(number); }));
}

// One by one: a client that goes on may fill the shard again, or end others.
void SessionLinks::WakeShard(std::uint32_t number) {
  Shard& shard = *by_shard_[number];
  shard.is_waking = false;
  while (!shard.gate.empty() && !IsFull(shard, number)) {
    ClientSession& session = shard.gate.first();
    session.waiting.Leave();
    session.client->OnUncongested();
  }
}

// ---- time --------------------------------------------------------------------

SteadyTime SessionLinks::Now() {
  if (now_) return *now_;
  const SteadyTime now = clock_.Now();
  if (const auto gap = standstill_.Notice(now); gap > SteadyTime::duration::zero()) {
    // Not from within a call of a client's, which it would end.
    if (stood_still_ == SteadyTime::duration::zero()) Post(&SessionLinks::JudgeStandstill);
    stood_still_ += gap;
  }
  return now;
}

void SessionLinks::JudgeStandstill() {
  const auto gap = std::exchange(stood_still_, SteadyTime::duration::zero());
  if (gap == SteadyTime::duration::zero()) return;
  const bool is_too_long = standstill_.IsTooLong(gap);
  const SteadyTime now = Now();
  metrics_.standstills.Increment();
  telemetry::LogWarn("process.stood_still",
                     {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(gap).count()}});
  for (const auto& shard : by_shard_) {
    if (is_too_long || shard->watch.WasLostFor(now, standstill_.link_grace())) SendAwayUnheard(*shard);
    shard->watch.OnStoodStill(gap);
  }
}

void SessionLinks::Tick() {
  const SteadyTime now = Now();
  JudgeStandstill();
  for (std::uint32_t number = 0; number < by_shard_.size(); ++number) {
    Shard& shard = *by_shard_[number];
    if (shard.is_sending_away || shard.sessions.empty() || now < shard.next_look) continue;
    if (shard.watch.IsWithoutOwner(now, options_.owner_timeout) ||
        shard.watch.HasTakenNothing(now, options_.owner_timeout)) {
      SendAwayWaiting(number, 0);
    }
  }
}

void SessionLinks::SendAwayWaiting(std::uint32_t number, std::size_t from) {
  Shard& shard = *by_shard_[number];
  const SteadyTime now = Now();
  const bool is_without_owner = shard.watch.IsWithoutOwner(now, options_.owner_timeout);
  shard.is_sending_away = is_without_owner || shard.watch.HasTakenNothing(now, options_.owner_timeout);
  if (from == 0) shard.next_look = now + options_.owner_timeout / 4;
  std::size_t told = 0;
  while (shard.is_sending_away && from < shard.sessions.size() && told < kSentAwayInOneTurn) {
    ClientSession& session = *shard.sessions[from++];
    if (session.client == nullptr) continue;
    if (is_without_owner) {
      SendAway(session, metrics_.without_owner, "the server of this account is away");
    } else {
      // A session that waits for nothing misses nothing yet.
      const auto& waiting = session.inbound.unconfirmed();
      if (waiting.empty()) continue;
      if (const SteadyTime due = waiting[0].received + options_.owner_timeout; now < due) {
        shard.next_look = std::min(shard.next_look, due);
        continue;
      }
      SendAway(session, metrics_.without_answer, "the server of this account does not answer");
    }
    ++told;
  }
  if (told > 0) {
    telemetry::LogWarn("shard.clients_sent_away",
                       {{"shard", number}, {"clients", told}, {"has_owner", !is_without_owner}});
  }
  if (shard.is_sending_away && from < shard.sessions.size()) {
    asio::post(io_, lifetime_.While([this, number, from] { SendAwayWaiting(number, from); }));
  } else {
    shard.is_sending_away = false;
  }
}

SteadyTime::duration SessionLinks::OutOfReach(const Shard& shard, SteadyTime now) const {
  // The link that it had until now may have broken during a standstill, too, and not have said so.
  return shard.watch.OutOfReach(now).value_or(now - standstill_.LastTouch(now));
}

void SessionLinks::Detach(ClientSession& session, std::string_view condition, std::string_view text) {
  SessionClient* client = session.client;
  End(session, client->has_closed() ? EndReason::kClosed : EndReason::kConnectionLost);
  client->OnSessionEnded(condition, text);
}

void SessionLinks::SendAway(ClientSession& session, prometheus::Counter& why, std::string_view text) {
  why.Increment();
  Detach(session, "reset", text);
}

void SessionLinks::LeaveConnection(ClientSession& session) {
  // One that has closed its stream waits for the log, and for nobody who resumes it.
  const bool is_in_use = session.client != nullptr && !session.client->has_closed();
  if (is_in_use && session.outbound.resumable()) Detach(session, "conflict", {});
}

void SessionLinks::SendAwayUnheard(Shard& shard) {
  for (ClientSession* session : shard.sessions) {
    if (session->client == nullptr || session->outbound.resumable()) continue;
    SendAway(*session, metrics_.unheard, "the session is over");
  }
}

}  // namespace rookery::gateway
