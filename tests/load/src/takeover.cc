#include <signal.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <deque>
#include <optional>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "metrics_page.h"
#include "rookery/config/files.h"
#include "rookery/events/topics.h"
#include "rookery/redis/client.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/session_link.h"
#include "rookery/telemetry/metrics.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

/// A session as a gateway keeps it, and no more.
struct SimulatedSession {
  std::string id;
  std::string user;
  std::string jid;
  std::string state;
  std::uint32_t shard = 0;
  std::uint64_t sent = 0;
  std::uint64_t last_seq = 0;
  std::int64_t last_offset = -1;
};

/// A gateway without clients: speaks the link protocol for sessions that only exist here.
class SimulatedGateway {
 public:
  SimulatedGateway(asio::io_context& io, const Cluster& cluster, bool presence)
      : io_(io),
        presence_(presence),
        calls_(RpcOptions(cluster)),
        redis_(redis::Client::Create(io, RedisOptions(cluster), metrics_)) {
    registry_ = routing::Registry::Create(io, *redis_);
    registry_->Announce("gateway", {"load", ""}, [](const absl::Status&) {});
    registry_->Watch("session-manager", [this](const std::vector<routing::Instance>& instances) {
      for (const routing::Instance& instance : instances) Open(instance);
    });
  }

  std::size_t shard_count() const { return shard_count_; }
  std::size_t owned() const { return owners_.size(); }
  std::size_t started() const { return started_; }
  std::size_t in_progress() const { return in_progress_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t ended() const { return ended_; }
  /// Shards that have got another owner since the last call of ForgetMoves.
  std::size_t moved() const { return moved_.size(); }
  void ForgetMoves() { moved_.clear(); }
  std::size_t links() const { return links_.size(); }
  /// Counts the shards of the session-manager with that address.
  std::size_t OwnedBy(const std::string& address) const {
    return static_cast<std::size_t>(std::count_if(owners_.begin(), owners_.end(), [&](const auto& owner) {
      return owner.second.link->address == address;
    }));
  }

  void Start(std::size_t number, const std::string& domain) {
    SimulatedSession& session = sessions_.emplace_back();
    session.id = absl::StrFormat("load%012d", number);  // 16 bytes
    session.user = absl::StrCat("simulated", number, "@", domain);
    by_id_.emplace(session.id, &session);
    ++in_progress_;
    session.shard = topology_->PartitionOf(events::Topic::kUsers, session.user);
    by_shard_[session.shard].push_back(&session);
    GatewayAction& action = owners_.at(session.shard).link->link->Add();
    action.set_session_id(session.id);
    action.mutable_start()->set_user(session.user);
    action.mutable_start()->set_resource("r");
  }

 private:
  struct Peer final : rpc::GatewayLinkHandler {
    SimulatedGateway* gateway = nullptr;
    std::string address;
    std::unique_ptr<rpc::GatewayLink> link;
    void OnAction(SessionManagerAction action) override { gateway->On(*this, action); }
    void OnFrameEnd() override {}
    void OnClosed(const absl::Status&) override { gateway->OnClosed(*this); }
  };
  struct Owner {
    Peer* link = nullptr;
    std::int64_t epoch = -1;
  };

  // It is a gateway to Redis and to session-managers: with a gateway's password and certificate.
  static redis::Options RedisOptions(const Cluster& cluster) {
    redis::Options options;
    options.addresses = {cluster.redis};
    const absl::StatusOr<std::string> password =
        config::ReadFile(absl::StrCat(cluster.state, "/secrets/redis-gateway"));
    if (!password.ok()) return options;
    options.user = "gateway";
    options.password = *password;
    return options;
  }

  static rpc::ClientOptions RpcOptions(const Cluster& cluster) {
    rpc::ClientOptions options;
    options.service = "session-manager";
    if (!cluster.service_tls) return options;
    const std::string directory = absl::StrCat(cluster.state, "/certificates/services/");
    options.tls.ca_file = directory + "ca.pem";
    options.tls.certificate_file = directory + "gateway.pem";
    options.tls.key_file = directory + "gateway.key";
    return options;
  }

  void Open(const routing::Instance& instance) {
    if (links_.contains(instance.address)) return;
    auto peer = std::make_unique<Peer>();
    peer->gateway = this;
    peer->address = instance.address;
    peer->link = rpc::OpenLink(io_, calls_, instance.address, *peer);
    auto& hello = *peer->link->Add().mutable_hello();
    hello.set_instance("load");
    hello.mutable_incarnation()->set_started_at_ms(registry_->incarnation().started_at_ms);
    hello.mutable_incarnation()->set_random(registry_->incarnation().random);
    links_.emplace(instance.address, std::move(peer));
  }

  void OnClosed(Peer& peer) {
    for (auto it = owners_.begin(); it != owners_.end();)
      it = it->second.link == &peer ? owners_.erase(it) : std::next(it);
    // The link calls us: it goes later.
    asio::post(io_, [this, address = peer.address] { links_.erase(address); });
  }

  void OnOwned(Peer& peer, std::uint32_t shard, std::int64_t epoch) {
    Owner& owner = owners_[shard];
    if (owner.epoch > epoch) return;
    owner = {&peer, epoch};
    moved_.insert(shard);
    for (SimulatedSession* session : by_shard_[shard]) Attach(peer, *session);
    auto& done = *peer.link->Add().mutable_attach_done();
    done.set_shard(shard);
    done.set_epoch(epoch);
  }

  static void Attach(Peer& peer, const SimulatedSession& session) {
    GatewayAction& action = peer.link->Add();
    action.set_session_id(session.id);
    auto& attach = *action.mutable_attach();
    attach.set_full_jid(session.jid);
    attach.set_confirmed_count(session.sent);
    attach.set_last_seq(session.last_seq);
    attach.set_acked_seq(session.last_seq);
    attach.set_last_offset(session.last_offset);
    attach.set_state(session.state);
  }

  void On(Peer& peer, const SessionManagerAction& action) {
    if (action.has_hello()) {
      shard_count_ = action.hello().shard_count();
      const auto shards = static_cast<std::uint32_t>(shard_count_);
      topology_.emplace(std::array<std::uint32_t, events::kTopics>{shards, shards, shards, shards});
      for (const auto& owned : action.hello().shards()) OnOwned(peer, owned.shard(), owned.epoch());
      return;
    }
    if (action.has_shard_owned())
      return OnOwned(peer, action.shard_owned().shard(), action.shard_owned().epoch());
    if (action.has_packet()) {
      for (const auto& target : action.packet().targets()) {
        SimulatedSession* session = Find(target.session_id());
        if (session == nullptr) continue;
        session->last_seq = std::max(session->last_seq, target.seq());
        session->last_offset = std::max(session->last_offset, action.packet().offset());
        GatewayAction& delivered = peer.link->Add();
        delivered.set_session_id(session->id);
        delivered.mutable_delivered()->set_seq(session->last_seq);
      }
      return;
    }
    SimulatedSession* session = Find(action.session_id());
    if (session == nullptr) return;
    if (action.has_started()) {
      OnStarted(peer, *session, action);
    } else if (action.has_state()) {
      session->state = action.state().state();
    } else if (action.has_ended()) {
      ++ended_;
    }
  }

  void OnStarted(Peer& peer, SimulatedSession& session, const SessionManagerAction& action) {
    --in_progress_;
    if (action.started().has_failure()) {
      ++refused_;
      return;
    }
    ++started_;
    session.jid = action.started().full_jid();
    if (!presence_) return;
    GatewayAction& sent = peer.link->Add();
    sent.set_session_id(session.id);
    auto& stanza = *sent.mutable_stanza();
    stanza.set_count(++session.sent);
    stanza.mutable_stanza()->set_kind(common::v1::STANZA_KIND_PRESENCE);
    stanza.mutable_stanza()->set_from(session.jid);
  }

  SimulatedSession* Find(const std::string& id) {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second;
  }

  asio::io_context& io_;
  const bool presence_;
  const rpc::ClientOptions calls_;
  telemetry::Metrics metrics_{"load"};
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<routing::Registry> registry_;
  std::map<std::string, std::unique_ptr<Peer>> links_;
  std::map<std::uint32_t, Owner> owners_;
  std::set<std::uint32_t> moved_;
  std::deque<SimulatedSession> sessions_;
  absl::flat_hash_map<std::string, SimulatedSession*> by_id_;
  std::map<std::uint32_t, std::vector<SimulatedSession*>> by_shard_;
  std::size_t shard_count_ = 0;
  std::optional<events::Topology> topology_;
  std::size_t started_ = 0;
  std::size_t in_progress_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t ended_ = 0;
};

const Cluster::Process* SessionManager(const Cluster& cluster, std::size_t number) {
  for (const Cluster::Process& process : cluster.processes)
    if (process.service == "session-manager" && number-- == 0) return &process;
  return nullptr;
}

void ReportLag(Run& run, const std::string& name, const Cluster::Process& process,
               const MetricsPage& before) {
  const MetricsPage after = FetchMetrics(process.admin);
  run.report().Number(absl::StrCat("I/O loop late at most, ", name),
                      1e3 * after.LargestSince(before, "rookery_session_manager_io_loop_lag_seconds"), "ms");
}

}  // namespace

void MeasureTakeover(Run& run, const TakeoverOptions& options) {
  const Cluster::Process* const first = SessionManager(run.cluster(), 0);
  const Cluster::Process* const second = SessionManager(run.cluster(), 1);
  if (first == nullptr || second == nullptr) return run.report().Fault("needs two session-managers");
  SimulatedGateway gateway(run.io(), run.cluster(), options.presence);
  if (!run.Until([&] { return gateway.shard_count() > 0 && gateway.owned() == gateway.shard_count(); },
                 std::chrono::seconds(60)))
    return run.report().Fault("not every shard has an owner");
  const std::int64_t kb_before = AnonymousMemoryKb(run.cluster())["session-manager"];
  run.Say(absl::StrCat("starting ", options.sessions, " sessions in ", gateway.shard_count(), " shards"));
  const Clock::time_point began = Clock::now();
  std::size_t next = 0;
  const bool is_started = run.Until(
      [&] {
        while (next < options.sessions && gateway.in_progress() < 2'000)
          gateway.Start(next++, run.cluster().domain);
        return gateway.started() + gateway.refused() == options.sessions;
      },
      std::chrono::seconds(600));
  if (!is_started || gateway.refused() > 0)
    return run.report().Fault(
        absl::StrCat(gateway.started(), " sessions started, ", gateway.refused(), " refused"));
  run.report().Number(
      "sessions started per second",
      static_cast<double>(options.sessions) / std::chrono::duration<double>(Clock::now() - began).count(),
      "/s");
  run.For(std::chrono::seconds(10));
  const std::int64_t kb_after = AnonymousMemoryKb(run.cluster())["session-manager"];
  run.report().Number("memory per session, session-manager",
                      static_cast<double>(kb_after - kb_before) / static_cast<double>(options.sessions),
                      "KB");

  MetricsPage before = FetchMetrics(second->admin);
  run.For(std::chrono::seconds(options.idle));
  ReportLag(run, "idle", *second, before);

  gateway.ForgetMoves();
  run.Say(absl::StrCat("killing a session-manager with ",
                       gateway.shard_count() - gateway.OwnedBy(second->rpc), " shards"));
  before = FetchMetrics(second->admin);
  const std::size_t lost = gateway.shard_count() - gateway.OwnedBy(second->rpc);
  const Clock::time_point killed = Clock::now();
  ::kill(first->pid, SIGKILL);
  const bool is_taken = run.Until([&] { return gateway.moved() >= lost; }, std::chrono::seconds(120));
  run.report().Number("all shards have an owner again after",
                      std::chrono::duration<double>(Clock::now() - killed).count(), "s");
  if (!is_taken) run.report().Fault(absl::StrCat(gateway.moved(), " of ", lost, " shards were taken over"));
  run.For(std::chrono::seconds(5));
  ReportLag(run, "in the take-over", *second, before);
  before = FetchMetrics(second->admin);
  run.For(std::chrono::seconds(options.idle));
  ReportLag(run, "idle, with all sessions", *second, before);
  run.report().Count("sessions", gateway.started());
  if (gateway.ended() > 0) run.report().Fault(absl::StrCat(gateway.ended(), " sessions were ended"));
}

}  // namespace rookery::load
