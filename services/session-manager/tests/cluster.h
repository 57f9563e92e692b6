#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "domain.h"
#include "domain/accounts/credentials_version.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "fakes.h"
#include "ports/gateway_peer.h"
#include "rookery/telemetry/metrics.h"
#include "rookery/testing/hand_clock.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Gateway;

/// One client's session as its gateway knows it.
struct Client {
  Gateway* gateway = nullptr;
  std::string id;
  std::string user;
  std::string jid;
  /// Client to cluster.
  std::uint64_t sent = 0;
  std::uint64_t confirmed = 0;
  std::vector<std::uint64_t> confirms;
  std::deque<session::v1::ClientStanza> unconfirmed;
  /// Cluster to client: each stanza once, in the order of its number.
  std::vector<xmpp::Stanza> inbox;
  std::uint64_t last_seq = 0;
  std::uint64_t acked_seq = 0;
  std::uint64_t base_seq = 0;
  std::int64_t last_offset = -1;
  std::int64_t last_primary = -1;
  std::deque<session::v1::UnackedPacket> unacked;
  int resent = 0;
  std::string state;
  /// How often it was told.
  int states = 0;
  std::int64_t known_epoch = -1;
  bool stream_management = false;
  bool resume = false;
  bool detached = false;
  bool started = false;
  bool parked = false;
  /// The gateway has let go of it.
  bool forgotten = false;
  /// Says `delivered` at once.
  bool acks = true;
  std::optional<session::v1::EndReason> pending_end;
  std::optional<session::v1::Failure> start_failure;
  std::optional<session::v1::SessionEnded> ended;
  std::uint64_t attempt = 0;
  std::vector<session::v1::SessionResumed> resume_answers;

  std::vector<xmpp::Stanza> Take() { return std::exchange(inbox, {}); }
  /// Ids of the messages received so far, in order.
  std::vector<std::string> MessageIds() const;
};

/// A session-manager process: the Domain over fakes.
class Node {
 public:
  Node(int number, asio::io_context& io, testing::HandClock& clock, FakeLog& log, MemoryDatabase& database,
       FakeRoster& roster, FakeDirectory& directory, const Settings& settings,
       sharding::OwnerOptions options);

  /// Does what timers do every 500 ms.
  void Sweep();

  const int number;
  Settings settings;
  bool alive = true;
  bool frozen = false;
  FakeEventLog event_log;
  FakeMembership membership;
  FakeKeyMaker keys;
  FakeServiceDisco service_disco;
  MemoryAccountStore accounts;
  MemoryWaitingStore waiting;
  telemetry::Metrics metrics{"session_manager"};
  std::map<std::uint32_t, std::int64_t> published;
  sharding::ShardOwner owner;
  Domain domain;
  /// The consumer of the domain's shards.
  FakeConsumer& shard_log;
  std::set<std::uint32_t> assigned;
};

/// A gateway process with a link to every session-manager that lives; it speaks session_link_service.proto.
class Gateway {
 public:
  Gateway(std::string name, std::uint32_t shard_count, const Clock& clock)
      : name_(std::move(name)), shard_count_(shard_count), clock_(clock) {}

  void Link(Node& node);
  void Unlink(Node& node);
  /// A new link is up before the other side has noticed that the old one is gone.
  void Relink(Node& node);
  /// So much waits on the link from the node, or no longer does.
  void SetCongested(Node& node, bool congested);
  /// By the session-manager.
  bool IsClosed(const Node& node) const { return peers_.at(node.number)->is_closed; }

  /// `claim`: what the client has authenticated as.
  Client& Start(const std::string& user, const std::string& resource, const std::string& id = {},
                const Standing& claim = {});
  void Send(Client& client, xmpp::Stanza stanza, bool to_malformed = false, const std::string& refused = {});
  void Resend(Client& client, std::uint64_t count);
  void EnableStreamManagement(Client& client, bool resume = true);
  void Deliver(Client& client, std::uint64_t seq);
  void End(Client& client, session::v1::EndReason reason);
  /// The answer's session goes on here; `client` may be of another gateway.
  Client& Resume(Client& client, std::uint32_t handled, const std::string& as_user = {},
                 const Standing& claim = {});
  void Post(const std::string& user, session::v1::GatewayAction action);

  /// Handles what has arrived. False: nothing had.
  bool Pump();
  const std::string& name() const { return name_; }

  bool attaches = true;
  /// What it says reaches nobody.
  bool is_mute = false;
  /// Called for each action that a session-manager has for it. May throw.
  std::function<void()> on_add;
  /// So many have come.
  std::size_t packets = 0;
  /// Whether it says for how long it was cut off.
  bool has_watch = true;
  std::vector<session::v1::SessionManagerAction> others;
  std::deque<std::unique_ptr<Client>> clients;

 private:
  struct Peer final : GatewayPeer {
    std::string name;
    Node* node = nullptr;
    std::deque<session::v1::SessionManagerAction> actions;
    Incarnation life;
    bool congested = false;
    const std::string& instance() const override { return name; }
    const Incarnation& incarnation() const override { return life; }
    const Gateway* gateway = nullptr;
    session::v1::SessionManagerAction& Add() override {
      if (gateway->on_add) gateway->on_add();
      return actions.emplace_back();
    }
    bool is_congested() const override { return congested; }
    bool is_closed = false;
    void Close() override { is_closed = true; }
  };
  struct Owner {
    Peer* peer = nullptr;
    std::int64_t epoch = -1;
  };
  Peer* PeerOf(const std::string& user);
  void On(Peer& peer, const session::v1::SessionManagerAction& action);
  void OnOwned(Peer& peer, std::uint32_t shard, std::int64_t epoch);
  void Attach(Peer& peer, Client& client, std::chrono::milliseconds out_of_reach);
  /// The shards of the link have no owner any more.
  void Disown(const Peer& peer);
  void OnPacket(const session::v1::Packet& packet, std::int64_t epoch);
  Client* Find(const std::string& id);
  void ToNode(Peer& peer, session::v1::GatewayAction action);

  std::string name_;
  std::uint32_t shard_count_;
  std::map<int, std::unique_ptr<Peer>> peers_;
  std::vector<std::unique_ptr<Peer>> old_peers_;
  std::map<std::uint32_t, Owner> owners_;
  /// Since when a shard has had none.
  std::map<std::uint32_t, SteadyTime> lost_at_;
  const Clock& clock_;
  std::uint64_t attempts_ = 0;
};

/// Everything together on one io_context run by hand.
class Cluster : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kShards = 4;
  explicit Cluster(int nodes = 2);
  ~Cluster() override;

  Node& AddNode();
  Gateway& AddGateway(const std::string& name);
  Node& node(int number) { return *nodes_[static_cast<std::size_t>(number)]; }

  void Assign(std::uint32_t shard, int to);
  /// kill -9. `lose`: what was in flight to the log never arrives.
  void Kill(int number, bool lose = true);
  void Revoke(std::uint32_t shard, int from);
  /// Runs until nothing moves any more.
  void Settle();
  /// Carries to the log, and to its readers, what was appended. False: nothing had been.
  bool PumpLog();
  /// Time passes, in sweeps.
  void Elapse(std::chrono::milliseconds time);
  bool RunUntil(const std::function<bool()>& done);
  bool IsLive(std::uint32_t shard);

  /// A user with an account in shard `shard`; `n` tells several apart.
  std::string UserIn(std::uint32_t shard, int n = 0);
  /// A started session with initial presence (unless `priority` is nullopt).
  Client& SignIn(Gateway& gateway, const std::string& user, const std::string& resource,
                 std::optional<int> priority = 0, const Standing& claim = {});
  /// Returns what lets in whoever authenticates now.
  Standing StandingOf(const std::string& user) const {
    return session_manager::StandingOf(database_.AccountOf(user));
  }
  void Carbons(Client& client);

  static xmpp::Stanza Message(const std::string& to, const std::string& id, const std::string& type = "chat");
  static xmpp::Stanza Presence(const std::string& type = {}, const std::string& to = {},
                               std::optional<int> priority = {});
  static xmpp::Stanza Iq(const std::string& type, const std::string& to, const std::string& id,
                         std::string_view name = {}, std::string_view ns = {});
  /// XEP-0191.
  static xmpp::Stanza Block(const std::string& jid, const std::string& id = "block");

  Settings settings_;
  sharding::OwnerOptions owner_options_;
  asio::io_context io_;
  testing::HandClock clock_;
  FakeLog log_{kShards};
  MemoryDatabase database_;
  FakeRoster roster_;
  FakeDirectory directory_;
  std::deque<std::unique_ptr<Node>> nodes_;
  std::deque<std::unique_ptr<Gateway>> gateways_;
  std::map<std::uint32_t, int> owners_;
};

/// Stanzas of a kind and type.
std::vector<xmpp::Stanza> Only(const std::vector<xmpp::Stanza>& stanzas, common::v1::StanzaKind kind,
                               std::optional<std::string> type = {});

}  // namespace rookery::session_manager
