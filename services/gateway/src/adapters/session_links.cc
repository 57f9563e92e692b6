#include "adapters/session_links.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "adapters/session_actions.h"
#include "rookery/base/check.h"
#include "rookery/base/random.h"
#include "rookery/base/shard.h"
#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

constexpr std::chrono::milliseconds kOverdueCheck{250};
// A session-manager that says more is no one of ours.
constexpr std::uint32_t kMaxShards = 65'536;

void SetSession(GatewayAction& action, const ClientSession& session) {
  action.set_session_id(std::string(session.id.bytes()));
}

std::size_t SizeOf(std::string_view user, std::string_view text) { return user.size() + text.size() + 256; }

}  // namespace

SessionLinks::Probe::Probe(telemetry::Metrics& m)
    : sessions(m.Gauge("sessions", "Sessions, waiting ones included")),
      shards_owned(m.Gauge("shards_with_owner", "Shards whose owner is known and linked")),
      waiting(m.Gauge("actions_waiting", "Actions without an answer")),
      unconfirmed_bytes(m.Gauge("unconfirmed_bytes", "Bytes of client stanzas that are not in the log yet")),
      stale(m.Counter("stale_actions_total", "Actions dropped since their epoch is over")),
      duplicates(m.Counter("duplicate_packets_total", "Packets dropped since they were given before")),
      gaps(m.Counter("packet_gaps_total", "Sessions broken since a packet was missing")),
      attached(m.Counter("attached_sessions_total", "Sessions attached to a new owner")),
      resent(m.Counter("resent_stanzas_total", "Client stanzas sent again to a new owner")),
      overdue(m.Counter("overdue_actions_total", "Actions that failed for want of an answer")),
      confirm_seconds(m.Histogram("confirm_seconds", "From a client's stanza to its confirmation",
                                  {.001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30})) {}

SessionLinks::SessionLinks(asio::io_context& io, LinkPool::Open open, SessionLinksOptions options,
                           std::string instance, telemetry::Metrics& metrics)
    : io_(io),
      options_(options),
      probe_(metrics),
      links_(io, std::move(open), std::move(instance), *this, metrics),
      overdue_timer_(io.get_executor(), kOverdueCheck, [this] { FailOverdue(); }) {
  metrics.OnScrape([this] {
    probe_.sessions.Set(static_cast<double>(sessions_.size()));
    probe_.shards_owned.Set(shards_.owned());
    probe_.waiting.Set(static_cast<double>(requests_.size()));
    probe_.unconfirmed_bytes.Set(static_cast<double>(unconfirmed_bytes_));
  });
}

SessionLinks::~SessionLinks() = default;

// ---- requests ----------------------------------------------------------------

std::uint32_t SessionLinks::ShardOfUser(std::string_view user) const {
  return shards_.count() == 0 ? 0 : ShardOf(user, shards_.count());
}

Cluster::RequestId SessionLinks::LookUp(std::string_view user, OnLookup done) {
  Request request;
  request.user = user;
  request.done = std::move(done);
  return AddRequest(std::move(request));
}

Cluster::RequestId SessionLinks::CreateAccount(std::string_view user, std::string_view password,
                                               OnCreated done) {
  Request request;
  request.user = user;
  request.text = password;
  request.done = std::move(done);
  return AddRequest(std::move(request));
}

Cluster::RequestId SessionLinks::Start(std::string_view user, std::string_view resource,
                                       SessionClient& client, OnStarted done) {
  Request request;
  request.user = user;
  request.text = resource;
  request.session = SessionId::Random();
  request.client = &client;
  request.done = std::move(done);
  return AddRequest(std::move(request));
}

Cluster::RequestId SessionLinks::Resume(SessionId session, std::string_view user, std::uint32_t handled,
                                        SessionClient& client, OnResumed done) {
  Request request;
  request.user = user;
  request.session = session;
  request.handled = handled;
  request.client = &client;
  request.done = std::move(done);
  return AddRequest(std::move(request));
}

Cluster::RequestId SessionLinks::AddRequest(Request request) {
  const RequestId id = ++last_request_;
  const std::size_t bytes = SizeOf(request.user, request.text);
  if (requests_.size() >= options_.max_actions || request_bytes_ + bytes > options_.max_action_bytes) {
    // Answered from the loop, never from within the call.
    request.deadline = SteadyTime::min();
    asio::post(io_, [this] { FailOverdue(); });
  } else {
    request.deadline = Clock::System().Now() + options_.action_timeout;
  }
  request_bytes_ += bytes;
  if (std::holds_alternative<OnStarted>(request.done)) starts_[request.session] = id;
  Request& added = requests_.emplace(id, std::move(request)).first->second;
  if (added.deadline != SteadyTime::min()) Dispatch(id, added);
  return id;
}

void SessionLinks::Dispatch(RequestId id, Request& request) {
  const LinkId owner = shards_.OwnerOf(ShardOfUser(request.user));
  rpc::GatewayLink* link = links_.Find(owner);
  if (link == nullptr) return;  // it waits for HandleShardOwned
  request.sent_to = owner;
  GatewayAction& action = link->Add();
  if (std::holds_alternative<OnLookup>(request.done)) {
    auto* lookup = action.mutable_credentials_lookup();
    lookup->set_request_id(id);
    lookup->set_user(request.user);
  } else if (std::holds_alternative<OnCreated>(request.done)) {
    auto* create = action.mutable_create();
    create->set_request_id(id);
    create->set_user(request.user);
    create->set_password(request.text);
  } else if (std::holds_alternative<OnStarted>(request.done)) {
    action.set_session_id(std::string(request.session.bytes()));
    auto* start = action.mutable_start();
    start->set_user(request.user);
    start->set_resource(request.text);
  } else {
    action.set_session_id(std::string(request.session.bytes()));
    auto* resume = action.mutable_resume();
    resume->set_user(request.user);
    resume->set_handled(request.handled);
    resume->set_attempt(id);
  }
}

SessionLinks::Request SessionLinks::Take(RequestId id) {
  auto node = requests_.extract(id);
  Request request = std::move(node.mapped());
  request_bytes_ -= SizeOf(request.user, request.text);
  if (std::holds_alternative<OnStarted>(request.done)) starts_.erase(request.session);
  return request;
}

void SessionLinks::Cancel(RequestId request) {
  if (requests_.contains(request)) Take(request);
}

void SessionLinks::FailTemporarily(Request request) {
  const Refusal refusal{"resource-constraint", "", true};
  if (auto* looked_up = std::get_if<OnLookup>(&request.done)) {
    (*looked_up)({true, {}});
  } else if (auto* created = std::get_if<OnCreated>(&request.done)) {
    (*created)(&refusal);
  } else if (auto* started = std::get_if<OnStarted>(&request.done)) {
    (*started)(nullptr, refusal);
  } else {
    Resumption resumption;
    resumption.refusal = refusal;
    std::get<OnResumed>(request.done)(resumption);
  }
}

void SessionLinks::FailOverdue() {
  const SteadyTime now = Clock::System().Now();
  std::vector<RequestId> overdue;
  for (const auto& [id, request] : requests_) {
    if (request.deadline <= now) overdue.push_back(id);
  }
  for (const RequestId id : overdue) {
    if (!requests_.contains(id)) continue;
    probe_.overdue.Increment();
    FailTemporarily(Take(id));
  }
}

bool SessionLinks::IsNotOwner(LinkId link, RequestId id, const session::v1::Failure& failure) {
  if (!failure.not_owner()) return false;
  Request& request = requests_.find(id)->second;
  if (request.sent_to != link) return true;  // it is with the next owner already
  request.sent_to = 0;
  shards_.Disown(ShardOfUser(request.user), link);
  Dispatch(id, request);
  return true;
}

// ---- what the links say ------------------------------------------------------

void SessionLinks::OnLinkAction(LinkId link, SessionManagerAction action) {
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
    probe_.stale.Increment();
    return;
  }

  switch (action.action_case()) {
    case SessionManagerAction::kPacket:
      return HandlePacket(*action.mutable_packet());
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
  switch (action.action_case()) {
    case SessionManagerAction::kConfirmed:
      return HandleConfirmed(session, action.confirmed().count());
    case SessionManagerAction::kEnded:
      return HandleEnded(session, action.ended().condition(), action.ended().text());
    case SessionManagerAction::kState:
      session.state = std::move(*action.mutable_state()->mutable_state());
      return;
    case SessionManagerAction::kParked:
      if (session.client == nullptr) RemoveSession(session);
      return;
    case SessionManagerAction::kAttached:
      if (!action.attached().has_failure() || action.attached().failure().not_owner()) return;
      return HandleEnded(session, action.attached().failure().condition(),
                         action.attached().failure().text());
    default:
      return;
  }
}

void SessionLinks::OnLinkFrameEnd() {
  // OnBatchEnd may end sessions and so change batch_.
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    ClientSession* session = batch_[i];
    if (session == nullptr) continue;
    session->in_batch = false;
    if (session->client != nullptr) session->client->OnBatchEnd();
  }
  batch_.clear();
}

void SessionLinks::OnLinkDown(LinkId link) {
  shards_.DropLink(link);
  OnLinkFrameEnd();
}

void SessionLinks::HandleHello(LinkId link, const session::v1::SessionManagerHello& hello) {
  if (shards_.count() == 0) {
    if (hello.shard_count() == 0 || hello.shard_count() > kMaxShards) {
      telemetry::LogError("link.bad_hello",
                          {{"peer", hello.instance()}, {"shard_count", hello.shard_count()}});
      return;
    }
    shards_.Resize(hello.shard_count());
    shard_sessions_.resize(hello.shard_count());
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
  for (const auto& caps : hello.caps()) {
    if (caps.domain().empty() || caps.caps_node().empty() || caps.caps_ver().empty()) continue;
    facts_.caps[caps.domain()] = {caps.caps_node(), caps.caps_ver()};
  }
}

void SessionLinks::HandleShardOwned(LinkId link, std::uint32_t shard, std::int64_t epoch) {
  if (!shards_.Claim(shard, epoch, link)) return;
  rpc::GatewayLink* owner = links_.Find(link);
  if (owner == nullptr) return shards_.Disown(shard, link);
  for (ClientSession* session : shard_sessions_[shard]) Attach(*session, *owner);
  auto* done = owner->Add().mutable_attach_done();
  done->set_shard(shard);
  done->set_epoch(epoch);
  if (!shard_sessions_[shard].empty()) {
    telemetry::LogInfo("shard.attached",
                       {{"shard", shard}, {"epoch", epoch}, {"sessions", shard_sessions_[shard].size()}});
  }

  std::vector<RequestId> undecided;
  for (auto& [id, request] : requests_) {
    if (ShardOfUser(request.user) != shard) continue;
    // Whether the old owner made the account cannot be known: asking the new one
    // could answer `conflict` to who has just got it.
    if (request.sent_to != 0 && std::holds_alternative<OnCreated>(request.done)) {
      undecided.push_back(id);
    } else {
      Dispatch(id, request);
    }
  }
  for (const RequestId id : undecided) FailTemporarily(Take(id));
}

void SessionLinks::Attach(ClientSession& session, rpc::GatewayLink& link) {
  GatewayAction& action = link.Add();
  SetSession(action, session);
  FillAttach(session, action.mutable_attach());
  probe_.attached.Increment();
  const auto& unconfirmed = session.inbound.unconfirmed();
  for (std::size_t i = 0; i < unconfirmed.size(); ++i) {
    GatewayAction& again = link.Add();
    SetSession(again, session);
    ROOKERY_CHECK(again.mutable_stanza()->ParseFromString(unconfirmed[i].bytes));
    probe_.resent.Increment();
  }
  if (session.end != EndReason::kNone) SendEnd(session, link);
}

void SessionLinks::HandleStarted(LinkId link, SessionId id, const session::v1::SessionStarted& started) {
  const auto start = starts_.find(id);
  if (start == starts_.end()) {
    // The client is gone meanwhile, or could not wait.
    if (!started.has_failure() && !sessions_.contains(id)) {
      End(AddSession(id, started.full_jid(), nullptr), EndReason::kConnectionLost);
    }
    return;
  }
  const RequestId request_id = start->second;
  if (started.has_failure() && IsNotOwner(link, request_id, started.failure())) return;
  const Request request = Take(request_id);
  const auto& done = std::get<OnStarted>(request.done);
  if (started.has_failure()) return done(nullptr, ToRefusal(started.failure()));
  done(&AddSession(id, started.full_jid(), request.client), {});
}

void SessionLinks::HandleResumed(LinkId link, SessionId id, const session::v1::SessionResumed& resumed) {
  const auto found = requests_.find(resumed.attempt());
  const bool wanted = found != requests_.end() && std::holds_alternative<OnResumed>(found->second.done) &&
                      found->second.session == id;
  if (resumed.has_failure()) {
    if (!wanted || IsNotOwner(link, resumed.attempt(), resumed.failure())) return;
    Resumption resumption;
    resumption.refusal = ToRefusal(resumed.failure());
    resumption.has_ended_count = resumed.has_ended_count();
    resumption.ended_count = resumed.ended_inbound_count();
    resumption.handled_too_high = resumed.handled_too_high();
    resumption.sent_count = resumed.sent_count();
    return std::get<OnResumed>(Take(resumed.attempt()).done)(resumption);
  }

  // The session may still be here, on the connection that it had before.
  if (const auto old = sessions_.find(id); old != sessions_.end()) HandleEnded(*old->second, "conflict", {});
  Request request;
  if (wanted) request = Take(resumed.attempt());
  ClientSession& session = AddSession(id, resumed.full_jid(), request.client);
  session.inbound.Restore(resumed.inbound_count());
  session.outbound.Restore(resumed.base_seq(), resumed.acked_seq(), resumed.acked_offset());
  session.state = resumed.state();
  if (!wanted) return End(session, EndReason::kConnectionLost);
  Resumption resumption;
  resumption.session = &session;
  std::get<OnResumed>(request.done)(resumption);
}

void SessionLinks::HandleCredentials(LinkId link, const session::v1::Credentials& credentials) {
  const auto found = requests_.find(credentials.request_id());
  if (found == requests_.end() || !std::holds_alternative<OnLookup>(found->second.done)) return;
  if (credentials.has_failure() && IsNotOwner(link, credentials.request_id(), credentials.failure())) return;
  const Request request = Take(credentials.request_id());
  std::get<OnLookup>(request.done)({credentials.has_failure(), ToScramKeys(credentials)});
}

void SessionLinks::HandleCreated(LinkId link, const session::v1::AccountCreated& created) {
  const auto found = requests_.find(created.request_id());
  if (found == requests_.end() || !std::holds_alternative<OnCreated>(found->second.done)) return;
  if (created.has_failure() && IsNotOwner(link, created.request_id(), created.failure())) return;
  const Request request = Take(created.request_id());
  if (!created.has_failure()) return std::get<OnCreated>(request.done)(nullptr);
  const Refusal refusal = ToRefusal(created.failure());
  std::get<OnCreated>(request.done)(&refusal);
}

void SessionLinks::HandlePacket(session::v1::Packet& packet) {
  const bool kept = packet.offset() < 0 && packet.stored_id() == 0;
  for (const auto& target : packet.targets()) {
    ClientSession* session = FindSession(target.session_id());
    if (session == nullptr) continue;
    switch (session->outbound.Classify(target.seq())) {
      case OutboundWindow::Arrival::kNext:
        break;
      case OutboundWindow::Arrival::kDuplicate:
        probe_.duplicates.Increment();
        continue;
      case OutboundWindow::Arrival::kGap:
        // To go on would make the client's h disagree with ours for good; a resumption
        // brings what is missing.
        probe_.gaps.Increment();
        telemetry::LogError("session.packet_gap", {{"jid", telemetry::HashedJid(session->user())},
                                                   {"expected", session->outbound.last_seq() + 1},
                                                   {"seq", target.seq()}});
        if (SessionClient* client = session->client) {
          End(*session, EndReason::kConnectionLost);
          client->OnSessionEnded("internal-server-error", {});
        }
        continue;
    }
    // What is kept for the next owner must not be anybody else's.
    if (kept && packet.to_each()) packet.mutable_stanza()->set_to(session->full_jid);
    session->outbound.Add(packet.offset(), packet.stored_id(), packet.stanza());
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
  const SteadyTime now = Clock::System().Now();
  std::size_t released = 0;
  session.inbound.Confirm(count, [&](const InboundWindow::Entry& entry) {
    released += entry.bytes.size();
    probe_.confirm_seconds.Observe(std::chrono::duration<double>(now - entry.received).count());
  });
  if (released == 0) return;
  Release(released);
  if (session.client == nullptr) return;
  Touch(session);
  session.client->OnConfirmed();
}

void SessionLinks::HandleEnded(ClientSession& session, std::string_view condition, std::string_view text) {
  SessionClient* client = session.client;
  if (!condition.empty()) {
    telemetry::LogInfo("session.ended_by_owner", {{"jid", telemetry::HashedJid(session.user())},
                                                  {"condition", condition},
                                                  {"connected", client != nullptr}});
  }
  RemoveSession(session);
  if (client != nullptr) client->OnSessionEnded(condition, text);
}

// ---- sessions ----------------------------------------------------------------

ClientSession& SessionLinks::AddSession(SessionId id, std::string_view full_jid, SessionClient* client) {
  auto session = std::make_unique<ClientSession>(id, full_jid);
  session->client = client;
  session->shard = ShardOfUser(session->user());
  auto& list = shard_sessions_[session->shard];
  session->slot = static_cast<std::uint32_t>(list.size());
  list.push_back(session.get());
  return *sessions_.insert_or_assign(id, std::move(session)).first->second;
}

void SessionLinks::RemoveSession(ClientSession& session) {
  if (session.in_batch)
    std::replace(batch_.begin(), batch_.end(), &session, static_cast<ClientSession*>(nullptr));
  auto& list = shard_sessions_[session.shard];
  list[session.slot] = list.back();
  list[session.slot]->slot = session.slot;
  list.pop_back();
  const std::size_t bytes = session.inbound.unconfirmed_bytes();
  sessions_.erase(SessionId(session.id));
  Release(bytes);
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

void SessionLinks::SendStanza(ClientSession& session, xmpp::Stanza stanza, bool to_malformed) {
  const auto fill = [&](session::v1::ClientStanza& action) {
    action.set_count(session.inbound.next_count());
    action.set_trace_id(RandomU64());
    action.set_received_at_ms(UnixMillis());
    action.set_to_malformed(to_malformed);
    action.mutable_stanza()->Swap(&stanza);
    std::string bytes = action.SerializeAsString();
    unconfirmed_bytes_ += bytes.size();
    session.inbound.Add(std::move(bytes), Clock::System().Now());
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
  session.end = reason;
  if (rpc::GatewayLink* link = OwnerLink(session.shard)) SendEnd(session, *link);
}

void SessionLinks::SendEnd(ClientSession& session, rpc::GatewayLink& link) {
  GatewayAction& action = link.Add();
  SetSession(action, session);
  FillEnd(session, action.mutable_end());
}

bool SessionLinks::is_congested(SessionClient* client) {
  if (unconfirmed_bytes_ < options_.max_unconfirmed_bytes) return false;
  congested_.insert(client);
  return true;
}

void SessionLinks::Release(std::size_t bytes) {
  unconfirmed_bytes_ -= bytes;
  if (congested_.empty() || unconfirmed_bytes_ > options_.max_unconfirmed_bytes / 4 * 3) return;
  // One by one: a client that goes on may congest the process again, or end others.
  asio::post(io_, [this] {
    while (!congested_.empty() && unconfirmed_bytes_ < options_.max_unconfirmed_bytes) {
      SessionClient* client = *congested_.begin();
      congested_.erase(congested_.begin());
      client->OnUncongested();
    }
  });
}

}  // namespace rookery::gateway
