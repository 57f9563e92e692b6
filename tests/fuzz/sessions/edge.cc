#include "edge.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/session_links.h"
#include "domain/account_names.h"
#include "domain/address_limiter.h"
#include "domain/scram_crypto.h"
#include "fake_connection.h"
#include "fake_sign_in_ledger.h"
#include "fuzz_input.h"
#include "protocols/connection_set.h"
#include "protocols/xmpp/tcp_connection.h"
#include "protocols/xmpp/websocket_connection.h"
#include "rookery/routing/registry.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::fuzz {

namespace {

using namespace gateway;  // NOLINT: this file is that service's part

/// Looks at passwords at once; the real one has threads.
class QuickPasswords final : public PasswordChecker {
 public:
  explicit QuickPasswords(asio::io_context& io) : io_(io) {}
  bool Check(ScramKey key, std::string password, std::function<void(bool)> done) override {
    asio::post(io_, [done = std::move(done), matches = VerifyPassword(key, password)] { done(matches); });
    return true;
  }

 private:
  asio::io_context& io_;
};

}  // namespace

XmppSettings HostileSettings() {
  XmppSettings settings;
  settings.domains = {"localhost"};
  for (const auto mechanism : kSaslMechanisms) settings.sasl.mechanisms.emplace_back(mechanism);
  settings.sasl.plain_without_tls = true;
  settings.sasl.fake_salt_key = "of the cluster";
  settings.sasl.iterations = 1;
  settings.registration = true;
  settings.limits_before_auth.max_stanza_bytes = 2048;
  settings.limits_before_auth.max_depth = 16;
  settings.limits_before_auth.max_elements = 128;
  settings.limits_before_auth.max_white_space_bytes = 256;
  settings.limits.max_stanza_bytes = 6144;
  settings.limits.max_white_space_bytes = 256;
  settings.stanza_rate = 5;
  settings.network_stanza_rate = 20;
  settings.max_queued_bytes = 16 * 1024;
  settings.max_unconfirmed = 8;
  settings.max_unacked = 48;
  settings.negotiation_timeout = std::chrono::seconds(8);
  settings.registration_timeout = std::chrono::seconds(10);
  settings.idle_timeout = std::chrono::seconds(5);
  settings.answer_timeout = std::chrono::seconds(4);
  settings.write_timeout = std::chrono::seconds(4);
  return settings;
}

/// The cluster as the streams see it, which tells the ledger what passes.
class Edge::WatchedCluster final : public Cluster {
 public:
  WatchedCluster(SessionLinks& links, Ledger& ledger) : links_(links), ledger_(ledger) {}

  /// Notes which connection a client of the cluster is part of.
  void Watch(const void* connection, std::size_t size, std::shared_ptr<Place> place) {
    const auto* const begin = static_cast<const char*>(connection);
    // Those that were where it is now are gone.
    std::erase_if(
        places_, [&](const auto& entry) { return entry.first < begin + size && begin < entry.second.first; });
    places_[begin] = {begin + size, std::move(place)};
  }

  const ServiceFacts& facts() const override { return links_.facts(); }
  RequestId LookUp(std::string_view user, OnLookup done) override {
    return links_.LookUp(user, std::move(done));
  }
  RequestId CreateAccount(std::string_view user, std::string_view password, OnCreated done) override {
    return links_.CreateAccount(user, password, std::move(done));
  }
  RequestId Start(const Identity& identity, std::string_view resource, SessionClient& client,
                  OnStarted done) override {
    return links_.Start(identity, resource, client,
                        [this, user = identity.user, place = PlaceOf(client), done = std::move(done)](
                            ClientSession* session, const ActionFailure& refusal) {
                          if (session != nullptr) Begin(*place, user, *session);
                          done(session, refusal);
                        });
  }
  RequestId Resume(SessionId session, const Identity& identity, std::uint32_t handled, SessionClient& client,
                   OnResumed done) override {
    return links_.Resume(session, identity, handled, client,
                         [this, user = identity.user, place = PlaceOf(client),
                          done = std::move(done)](const Resumption& resumption) {
                           if (resumption.session != nullptr) Begin(*place, user, *resumption.session);
                           done(resumption);
                         });
  }
  void Cancel(RequestId request) override { links_.Cancel(request); }
  void SendStanza(ClientSession& session, xmpp::Stanza stanza,
                  std::optional<xmpp::ErrorCondition> refused) override {
    ledger_.Accepted(ledger_.Begin(session.id.bytes(), session.full_jid), stanza);
    links_.SendStanza(session, std::move(stanza), refused);
  }
  void StreamManagementEnabled(ClientSession& session) override {
    Ledger::Session& known = ledger_.Begin(session.id.bytes(), session.full_jid);
    known.accepted_before_enable = known.accepted;
    links_.StreamManagementEnabled(session);
  }
  void Delivered(ClientSession& session) override { links_.Delivered(session); }
  void End(ClientSession& session, EndReason reason) override { links_.End(session, reason); }
  bool MayRead(ClientSession& session) override { return links_.MayRead(session); }

 private:
  std::shared_ptr<Place> PlaceOf(const SessionClient& client) const {
    const auto* const address = reinterpret_cast<const char*>(&client);
    auto found = places_.upper_bound(address);
    Require(found != places_.begin(), "who asks for a session is a connection");
    --found;
    Require(address < found->second.first, "who asks for a session is part of a connection");
    return found->second.second;
  }
  void Begin(Place& place, const std::string& user, const ClientSession& session) {
    Require(session.user() == user, "a session is of the account that has signed in");
    place.session = &ledger_.Begin(session.id.bytes(), session.full_jid);
  }

  SessionLinks& links_;
  Ledger& ledger_;
  std::map<const char*, std::pair<const char*, std::shared_ptr<Place>>> places_;  // by where they begin
};

struct Edge::Parts {
  Parts(simulation::Environment& environment, Edge& process, Ledger& ledger)
      : redis(MakeRedisClient(environment.world, process, environment.redis, environment.redis_data)),
        registry(routing::Registry::Create(process.io(), *redis)),
        settings(process.settings_),
        links(
            process.io(), Clock::System(),
            [&environment, &process](const std::string& address, rpc::GatewayLinkHandler& handler) {
              return environment.links.Open(process, address, handler);
            },
            SessionLinksOptions{},
            {process.name(), [this] { return registry->incarnation(); },
             [&process](const absl::Status&) { process.EndSoon(); }},
            metrics),
        cluster(links, ledger),
        passwords(process.io()),
        connections(process.io()) {}

  telemetry::Metrics metrics{"gateway"};
  std::unique_ptr<redis::Client> redis;
  std::unique_ptr<routing::Registry> registry;
  const XmppSettings& settings;
  SessionLinks links;
  WatchedCluster cluster;
  QuickPasswords passwords;
  AddressLimiter registrations{2};
  const AccountNames names{{"admin"}, false};
  FakeSignInLedger sign_ins;
  GuessGuard guesses{Clock::System(), GuessLimits(), sign_ins};
  XmppMetrics xmpp_metrics{metrics};
  PeerLog peers{metrics};
  StanzaBudgets account_budgets{settings.stanza_rate};
  StanzaBudgets network_budgets{settings.network_stanza_rate};
  StreamServices services{cluster, passwords, settings, xmpp_metrics,    registrations,
                          names,   guesses,   peers,    account_budgets, network_budgets};
  ConnectionSet connections;
};

Edge::Edge(simulation::Environment& environment, Ledger& ledger, std::string name, XmppSettings settings)
    : Process(environment.world, std::move(name)),
      environment_(environment),
      ledger_(ledger),
      settings_(std::move(settings)) {}

Edge::~Edge() = default;

void Edge::Accept(Wire& wire, bool is_websocket, std::shared_ptr<Place> place) {
  Parts& p = *parts_;
  const auto add = [&](auto made) {
    p.cluster.Watch(made.get(), sizeof(*made), std::move(place));
    XmppConnection* const connection = made.get();
    p.connections.Add(std::move(made));
    connection->Start();
  };
  if (is_websocket) {
    add(std::make_unique<WebSocketConnection>(p.services, p.connections, wire.MakeServerEnd(),
                                              Admission::Ticket()));
  } else {
    add(std::make_unique<TcpConnection>(p.services, p.connections, wire.MakeServerEnd(), TlsMode::kOptional,
                                        std::make_shared<FakeTls>(), Admission::Ticket()));
  }
}

bool Edge::is_connected() const { return parts_->links.is_connected(); }
std::size_t Edge::sessions() const { return parts_->links.session_count(); }
std::size_t Edge::connections() const { return parts_->connections.size(); }

void Edge::Boot() {
  parts_ = std::make_unique<Parts>(environment_, *this, ledger_);
  Parts& p = *parts_;
  p.registry->Watch("session-manager", [&p](const std::vector<routing::Instance>& instances) {
    p.links.SetInstances(instances);
  });
  p.registry->Announce("gateway", {name(), ""}, [this](const absl::Status&) { EndSoon(); });
}

void Edge::Unmake() {
  io().restart();
  io().poll();
  parts_.reset();
}

}  // namespace rookery::fuzz
