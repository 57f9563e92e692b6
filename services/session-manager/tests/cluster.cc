#include "cluster.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "domain/inbound/session_keeper.h"
#include "domain/outbound/directory_writer.h"
#include "rookery/base/random.h"
#include "rookery/events/homes.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

std::vector<std::string> Client::MessageIds() const {
  std::vector<std::string> ids;
  for (const xmpp::Stanza& stanza : inbox)
    if (stanza.kind() == common::v1::STANZA_KIND_MESSAGE) ids.push_back(stanza.id());
  return ids;
}

std::vector<xmpp::Stanza> Only(const std::vector<xmpp::Stanza>& stanzas, common::v1::StanzaKind kind,
                               std::optional<std::string> type) {
  std::vector<xmpp::Stanza> some;
  for (const xmpp::Stanza& stanza : stanzas)
    if (stanza.kind() == kind && (!type || stanza.type() == *type)) some.push_back(stanza);
  return some;
}

// ---- Node -------------------------------------------------------------------

namespace {
FakeConsumer& Join(sharding::ShardOwner& owner, Domain& domain, FakeLog& log) {
  auto consumer = std::make_unique<FakeConsumer>(log);
  FakeConsumer& joined = *consumer;
  owner.JoinForTest(domain.shard_service(), std::move(consumer));
  return joined;
}

Settings Named(Settings settings, int number) {
  settings.instance = "sm-" + std::to_string(number);
  return settings;
}

sharding::OwnerOptions OwnedBy(const Settings& settings, sharding::OwnerOptions options) {
  options.instance = settings.instance;
  options.duplicate_horizon = settings.duplicate_horizon;
  return options;
}
}  // namespace

Node::Node(int n, asio::io_context& io, testing::HandClock& clock, FakeLog& log, MemoryDatabase& database,
           FakeRoster& roster, FakeDirectory& directory, const Settings& s, sharding::OwnerOptions options)
    : number(n),
      settings(Named(s, n)),
      event_log(log, n),
      accounts(database),
      waiting(database),
      owner(
          io.get_executor(), clock, OwnedBy(settings, std::move(options)), event_log,
          [this](const auto& epochs) { published = epochs; },
          // Redis has the list of sessions, too, which its owner has written.
          [&directory](std::uint32_t shard) -> Task<std::int64_t> {
            co_return directory.down ? -1 : directory.shards[shard].epoch;
          },
          metrics),
      domain(io.get_executor(), settings,
             Ports{owner, event_log, membership, accounts, keys, waiting, roster, service_disco, directory},
             clock, metrics),
      shard_log(Join(owner, domain, log)) {}

void Node::Sweep() {
  owner.Tick();
  domain.Sweep();
}

// ---- Gateway ----------------------------------------------------------------

void Gateway::ToNode(Peer& peer, GatewayAction action) {
  if (peer.node->alive && !peer.is_closed && !is_mute)
    peer.node->domain.sessions().OnAction(peer, std::move(action));
}

void Gateway::Link(Node& node) {
  auto& peer = peers_[node.number];
  peer = std::make_unique<Peer>();
  peer->name = name_;
  peer->node = &node;
  peer->gateway = this;
  node.domain.sessions().OnGatewayLinked(*peer);
}

void Gateway::Unlink(Node& node) {
  auto it = peers_.find(node.number);
  if (it == peers_.end()) return;
  Disown(*it->second);
  it->second->actions.clear();
  if (node.alive) node.domain.sessions().OnGatewayLost(*it->second);
  old_peers_.push_back(std::move(it->second));
  peers_.erase(it);
}

void Gateway::Disown(const Peer& peer) {
  for (const auto& [shard, owner] : owners_)
    if (owner.peer == &peer) lost_at_.try_emplace(shard, clock_.Now());
  std::erase_if(owners_, [&](const auto& entry) { return entry.second.peer == &peer; });
}

void Gateway::SetCongested(Node& node, bool congested) {
  Peer& peer = *peers_.at(node.number);
  peer.congested = congested;
  if (!congested) node.domain.sessions().OnGatewayHasRoom(peer);
}

void Gateway::Relink(Node& node) {
  std::unique_ptr<Peer> old = std::move(peers_[node.number]);
  Disown(*old);
  old->actions.clear();
  Link(node);
  while (Pump()) {
  }
  node.domain.sessions().OnGatewayLost(*old);
  old_peers_.push_back(std::move(old));
}

Gateway::Peer* Gateway::PeerOf(const std::string& user) {
  const auto it = owners_.find(events::ShardOfAccount(user, shard_count_));
  return it == owners_.end() ? nullptr : it->second.peer;
}

Client* Gateway::Find(const std::string& id) {
  for (const auto& client : clients)
    if (client->id == id && !client->forgotten) return client.get();
  return nullptr;
}

Client& Gateway::Start(const std::string& user, const std::string& resource, const std::string& id,
                       const Standing& claim) {
  Client& client = *clients.emplace_back(std::make_unique<Client>());
  client.gateway = this;
  client.id = id.empty() ? RandomBytes(16) : id;
  client.user = user;
  GatewayAction action;
  action.set_session_id(client.id);
  action.mutable_start()->set_user(user);
  action.mutable_start()->set_resource(resource);
  action.mutable_start()->set_credentials_version(claim.version);
  action.mutable_start()->set_account_generation(claim.generation);
  Post(user, std::move(action));
  return client;
}

void Gateway::Post(const std::string& user, GatewayAction action) {
  if (Peer* peer = PeerOf(user)) ToNode(*peer, std::move(action));
}

void Gateway::Send(Client& client, xmpp::Stanza stanza, bool to_malformed, const std::string& refused) {
  session::v1::ClientStanza sent;
  sent.set_count(++client.sent);
  sent.set_confirmed_count(client.confirmed);
  sent.set_trace_id(1'000 + client.sent);
  stanza.set_from(client.jid);
  sent.mutable_stanza()->Swap(&stanza);
  sent.set_to_malformed(to_malformed);
  sent.set_refused(refused);
  client.unconfirmed.push_back(std::move(sent));
  Resend(client, client.sent);
}

void Gateway::Resend(Client& client, std::uint64_t count) {
  for (const auto& stanza : client.unconfirmed) {
    if (stanza.count() != count) continue;
    GatewayAction action;
    action.set_session_id(client.id);
    *action.mutable_stanza() = stanza;
    Post(client.user, std::move(action));
    return;
  }
}

void Gateway::EnableStreamManagement(Client& client, bool resume) {
  client.stream_management = true;
  client.resume = resume;
  client.base_seq = client.last_seq;
  GatewayAction action;
  action.set_session_id(client.id);
  action.mutable_stream_management_enable()->set_base_seq(client.base_seq);
  action.mutable_stream_management_enable()->set_resume(resume);
  Post(client.user, std::move(action));
}

void Gateway::Deliver(Client& client, std::uint64_t seq) {
  client.acked_seq = std::max(client.acked_seq, seq);
  while (!client.unacked.empty() && client.unacked.front().seq() <= seq) client.unacked.pop_front();
  GatewayAction action;
  action.set_session_id(client.id);
  action.mutable_delivered()->set_seq(seq);
  Post(client.user, std::move(action));
}

void Gateway::End(Client& client, session::v1::EndReason reason) {
  client.pending_end = reason;
  client.detached = reason == session::v1::END_REASON_CONNECTION_LOST;
  GatewayAction action;
  action.set_session_id(client.id);
  action.mutable_end()->set_reason(reason);
  Post(client.user, std::move(action));
}

Client& Gateway::Resume(Client& old, std::uint32_t handled, const std::string& as_user,
                        const Standing& claim) {
  Client& client = *clients.emplace_back(std::make_unique<Client>());
  client.gateway = this;
  client.id = old.id;
  client.user = as_user.empty() ? old.user : as_user;
  // The state that the client itself knows.
  client.sent = old.sent;
  client.unconfirmed = old.unconfirmed;
  client.stream_management = client.resume = true;
  client.acks = old.acks;
  client.inbox = old.inbox;
  client.last_seq = old.base_seq + handled;
  GatewayAction action;
  action.set_session_id(client.id);
  action.mutable_resume()->set_user(client.user);
  action.mutable_resume()->set_handled(handled);
  action.mutable_resume()->set_credentials_version(claim.version);
  action.mutable_resume()->set_account_generation(claim.generation);
  client.attempt = ++attempts_;
  action.mutable_resume()->set_attempt(client.attempt);
  Post(client.user, std::move(action));
  return client;
}

void Gateway::OnOwned(Peer& peer, std::uint32_t shard, std::int64_t epoch) {
  Owner& owner = owners_[shard];
  if (epoch < owner.epoch) return;
  owner = {&peer, epoch};
  std::chrono::milliseconds out_of_reach{0};
  if (const auto lost = lost_at_.extract(shard); lost && has_watch)
    out_of_reach = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - lost.mapped());
  if (!attaches) return;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    Client& client = *clients[i];
    if (client.forgotten || !client.started || events::ShardOfAccount(client.user, shard_count_) != shard)
      continue;
    Attach(peer, client, out_of_reach);
  }
  GatewayAction done;
  done.mutable_attach_done()->set_shard(shard);
  done.mutable_attach_done()->set_epoch(epoch);
  ToNode(peer, std::move(done));
}

void Gateway::Attach(Peer& peer, Client& client, std::chrono::milliseconds out_of_reach) {
  GatewayAction action;
  action.set_session_id(client.id);
  auto& attach = *action.mutable_attach();
  attach.set_full_jid(client.jid);
  attach.set_confirmed_count(client.confirmed);
  attach.set_last_seq(client.last_seq);
  attach.set_acked_seq(client.acked_seq);
  attach.set_last_offset(client.last_offset);
  attach.set_last_primary(client.last_primary);
  for (const auto& packet : client.unacked) *attach.add_unacked() = packet;
  attach.set_stream_management(client.stream_management);
  attach.set_resume(client.resume);
  attach.set_base_seq(client.base_seq);
  attach.set_detached(client.detached);
  attach.set_state(client.state);
  if (client.known_epoch >= 0) attach.set_known_epoch(client.known_epoch);
  attach.set_out_of_reach_ms(static_cast<std::uint32_t>(out_of_reach.count()));
  ToNode(peer, std::move(action));
  for (const auto& stanza : client.unconfirmed) {
    GatewayAction again;
    again.set_session_id(client.id);
    *again.mutable_stanza() = stanza;
    ToNode(peer, std::move(again));
  }
  if (client.pending_end) {
    GatewayAction end;
    end.set_session_id(client.id);
    end.mutable_end()->set_reason(*client.pending_end);
    ToNode(peer, std::move(end));
  }
}

void Gateway::OnPacket(const session::v1::Packet& packet, std::int64_t epoch) {
  ++packets;
  for (const auto& target : packet.targets()) {
    Client* client = Find(target.session_id());
    if (client == nullptr) continue;
    client->known_epoch = epoch;
    if (client->detached) {
      ADD_FAILURE() << "a packet to a session without connection: " << packet.stanza().ShortDebugString();
      continue;
    }
    EXPECT_EQ(target.seq(), client->last_seq + 1)
        << client->jid << ": " << packet.stanza().ShortDebugString();
    client->last_seq = std::max(client->last_seq, target.seq());
    client->last_offset = std::max(client->last_offset, packet.offset());
    if (!packet.dispensable()) client->last_primary = std::max(client->last_primary, packet.offset());
    xmpp::Stanza stanza = packet.stanza();
    if (packet.to_each()) stanza.set_to(client->jid);
    auto& unacked = client->unacked.emplace_back();
    unacked.set_seq(target.seq());
    unacked.set_offset(packet.offset());
    unacked.set_stored_id(packet.stored_id());
    if (packet.offset() < 0 && packet.stored_id() == 0) *unacked.mutable_stanza() = stanza;
    client->inbox.push_back(std::move(stanza));
    if (client->acks) Deliver(*client, target.seq());
  }
}

void Gateway::On(Peer& peer, const SessionManagerAction& action) {
  if (action.has_hello()) {
    for (const auto& owned : action.hello().shards()) OnOwned(peer, owned.shard(), owned.epoch());
    return;
  }
  if (action.has_shard_owned()) {
    OnOwned(peer, action.shard_owned().shard(), action.shard_owned().epoch());
    return;
  }
  if (const auto it = owners_.find(action.shard()); it != owners_.end() && action.epoch() < it->second.epoch)
    return;
  if (action.has_packet()) {
    OnPacket(action.packet(), action.epoch());
    return;
  }
  if (action.has_resumed()) {
    for (auto it = clients.rbegin(); it != clients.rend(); ++it) {
      Client& client = **it;
      if (client.id != action.session_id() || client.attempt != action.resumed().attempt()) continue;
      const auto& resumed = action.resumed();
      client.resume_answers.push_back(resumed);
      if (resumed.has_failure()) return;
      client.started = true;
      client.known_epoch = action.epoch();
      client.jid = resumed.full_jid();
      client.base_seq = resumed.base_seq();
      client.acked_seq = resumed.acked_seq();
      client.last_seq = resumed.acked_seq();
      client.last_offset = client.last_primary = resumed.acked_offset();
      client.state = resumed.state();
      client.confirmed = resumed.inbound_count();
      while (!client.unconfirmed.empty() && client.unconfirmed.front().count() <= client.confirmed)
        client.unconfirmed.pop_front();
      Deliver(client, client.acked_seq);
      for (const auto& stanza : client.unconfirmed) Resend(client, stanza.count());
      return;
    }
    return;
  }
  Client* client = Find(action.session_id());
  if (client == nullptr) {
    others.push_back(action);
    return;
  }
  if (!action.has_attached() && !action.started().has_failure()) client->known_epoch = action.epoch();
  if (action.has_started()) {
    if (action.started().has_failure()) {
      client->start_failure = action.started().failure();
      return;
    }
    client->started = true;
    client->jid = action.started().full_jid();
  } else if (action.has_state()) {
    client->state = action.state().state();
    ++client->states;
  } else if (action.has_confirmed()) {
    client->confirms.push_back(action.confirmed().count());
    EXPECT_GE(action.confirmed().count(), client->confirmed);
    client->confirmed = std::max(client->confirmed, action.confirmed().count());
    while (!client->unconfirmed.empty() && client->unconfirmed.front().count() <= client->confirmed)
      client->unconfirmed.pop_front();
  } else if (action.has_ended()) {
    client->ended = action.ended();
    client->forgotten = !action.ended().keep();
    if (action.ended().keep()) client->pending_end = session::v1::END_REASON_CLOSED;
  } else if (action.has_parked()) {
    client->parked = true;
    client->forgotten = true;
  } else {
    others.push_back(action);
  }
}

bool Gateway::Pump() {
  bool any = false;
  for (auto& [number, peer] : peers_) {
    if (peer->node->frozen) continue;
    while (!peer->actions.empty()) {
      const SessionManagerAction action = std::move(peer->actions.front());
      peer->actions.pop_front();
      On(*peer, action);
      any = true;
    }
  }
  return any;
}

// ---- Cluster ----------------------------------------------------------------

Cluster::Cluster(int nodes) {
  settings_.registration = true;
  database_.clock = &clock_;
  settings_.resume_hand_over = std::chrono::milliseconds(0);
  settings_.tell_back_together = std::chrono::milliseconds(0);
  for (int i = 0; i < nodes; ++i) AddNode();
}

Cluster::~Cluster() {
  for (auto& node : nodes_) {
    bool stopped = false;
    asio::co_spawn(
        io_,
        [](Node& n) -> Task<void> {
          co_await n.owner.Leave({});
          co_await n.domain.tasks().Stop();
        }(*node),
        [&](std::exception_ptr) { stopped = true; });
    while (!stopped) io_.run_one_for(std::chrono::milliseconds(100)), io_.restart();
  }
  io_.restart();
  io_.poll();
}

Node& Cluster::AddNode() {
  Node& node =
      *nodes_.emplace_back(std::make_unique<Node>(static_cast<int>(nodes_.size()), io_, clock_, log_,
                                                  database_, roster_, directory_, settings_, owner_options_));
  for (auto& gateway : gateways_) {
    node.membership.gateways.push_back(gateway->name());
    gateway->Link(node);
  }
  return node;
}

Gateway& Cluster::AddGateway(const std::string& name) {
  Gateway& gateway = *gateways_.emplace_back(std::make_unique<Gateway>(name, kShards, clock_));
  for (auto& node : nodes_) {
    if (!node->alive) continue;
    node->membership.gateways.push_back(name);
    gateway.Link(*node);
  }
  return gateway;
}

void Cluster::Assign(std::uint32_t shard, int to) {
  owners_[shard] = to;
  node(to).assigned.insert(shard);
  node(to).owner.OnAssigned(static_cast<std::int32_t>(shard));
}

void Cluster::Kill(int number, bool lose) {
  Node& dead = node(number);
  dead.alive = false;
  dead.event_log.dead = true;
  dead.shard_log.position.clear();
  log_.Kill(number, lose);
  for (auto& gateway : gateways_) gateway->Unlink(dead);
  bool stopped = false;
  asio::co_spawn(
      io_,
      [](Node& n) -> Task<void> {
        co_await n.owner.Leave({});
        co_await n.domain.tasks().Stop();
      }(dead),
      [&](std::exception_ptr) { stopped = true; });
  while (!stopped) io_.run_one_for(std::chrono::milliseconds(10)), io_.restart();
}

void Cluster::Revoke(std::uint32_t shard, int from) {
  node(from).assigned.erase(shard);
  node(from).owner.OnRevoking(static_cast<std::int32_t>(shard));
}

bool Cluster::PumpLog() {
  bool any = !log_.held && log_.Flush();
  for (auto& node : nodes_) {
    if (!node->alive || node->frozen) continue;
    for (const std::uint32_t shard : std::set(node->assigned)) {
      if (node->shard_log.paused.contains(shard)) continue;
      const auto position = node->shard_log.position.find(shard);
      if (position == node->shard_log.position.end()) continue;
      const auto end = static_cast<std::int64_t>(log_.users[shard].size());
      if (position->second > end) {
        const std::int64_t wanted = std::exchange(position->second, end);
        node->owner.OnOffsetMissing(static_cast<std::int32_t>(shard), wanted, 0, end);
        any = true;
        continue;
      }
      if (position->second == end) continue;
      const std::int64_t offset = position->second++;
      const std::string value = log_.users[shard][static_cast<std::size_t>(offset)];
      const std::int64_t time = log_.clock == nullptr ? clock_.UnixMillisNow()
                                                      : log_.times[shard][static_cast<std::size_t>(offset)];
      node->owner.OnRecord({static_cast<std::int32_t>(shard), offset, time, {}, value});
      any = true;
    }
  }
  return any;
}

void Cluster::Settle() {
  for (bool moved = true; moved;) {
    io_.restart();
    moved = io_.poll() > 0;
    moved = PumpLog() || moved;
    for (auto& gateway : gateways_) moved = gateway->Pump() || moved;
  }
}

bool Cluster::RunUntil(const std::function<bool()>& done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (Settle(); !done(); Settle()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool Cluster::IsLive(std::uint32_t shard) {
  const auto owner = owners_.find(shard);
  if (owner == owners_.end()) return false;
  const Shard* found = node(owner->second).domain.shards().Find(shard);
  return found != nullptr && found->live();
}

void Cluster::Elapse(std::chrono::milliseconds time) {
  for (; time.count() > 0; time -= std::chrono::milliseconds(500)) {
    clock_.Advance(std::chrono::milliseconds(500));
    for (auto& node : nodes_) {
      if (!node->alive || node->frozen) continue;
      node->Sweep();
      node->owner.CommitCursors();
      node->domain.directory().Flush();
    }
    Settle();
  }
}

std::string Cluster::UserIn(std::uint32_t shard, int n) {
  for (int i = 0;; ++i) {
    std::string user = "u" + std::to_string(i) + "@localhost";
    if (events::ShardOfAccount(user, kShards) != shard || n-- > 0) continue;
    database_.accounts[user];
    return user;
  }
}

Client& Cluster::SignIn(Gateway& gateway, const std::string& user, const std::string& resource,
                        std::optional<int> priority, const Standing& claim) {
  Client& client = gateway.Start(user, resource, {}, claim);
  Settle();
  EXPECT_TRUE(client.started);
  if (priority) {
    gateway.Send(client, Presence({}, {}, priority));
    Settle();
  }
  client.inbox.clear();
  return client;
}

void Cluster::Carbons(Client& client) {
  client.gateway->Send(client, Iq("set", {}, "carbons", "enable", "urn:xmpp:carbons:2"));
  Settle();
  client.inbox.clear();
}

xmpp::Stanza Cluster::Message(const std::string& to, const std::string& id, const std::string& type) {
  xmpp::Stanza message = xmpp::MakeMessage(type, {}, to);
  message.set_id(id);
  xmpp::Element body("body", "jabber:client");
  body.SetText("text of " + id);
  xmpp::SetPayload(message, body);
  return message;
}

xmpp::Stanza Cluster::Presence(const std::string& type, const std::string& to, std::optional<int> priority) {
  xmpp::Stanza presence = xmpp::MakePresence(type, {}, to);
  if (priority) {
    xmpp::Element element("priority", "jabber:client");
    element.SetText(std::to_string(*priority));
    xmpp::SetPayload(presence, element);
  }
  return presence;
}

xmpp::Stanza Cluster::Iq(const std::string& type, const std::string& to, const std::string& id,
                         std::string_view name, std::string_view ns) {
  xmpp::Stanza iq;
  iq.set_kind(common::v1::STANZA_KIND_IQ);
  iq.set_type(type);
  iq.set_to(to);
  iq.set_id(id);
  if (!name.empty()) {
    xmpp::SetPayload(iq, xmpp::Element(name, ns));
    iq.set_payload_name(std::string(name));
    iq.set_payload_namespace(std::string(ns));
  }
  return iq;
}

xmpp::Stanza Cluster::Block(const std::string& jid, const std::string& id) {
  xmpp::Stanza set = Iq("set", {}, id, "block", "urn:xmpp:blocking");
  xmpp::Element block("block", "urn:xmpp:blocking");
  block.Add("item").SetAttr("jid", jid);
  xmpp::SetPayload(set, block);
  return set;
}

}  // namespace rookery::session_manager
