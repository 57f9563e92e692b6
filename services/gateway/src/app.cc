#include "app.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "adapters/pool_password_checker.h"
#include "adapters/redis_sign_in_ledger.h"
#include "adapters/session_links.h"
#include "protocols/connection_set.h"
#include "protocols/xmpp/xmpp_server.h"
#include "rookery/base/status.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/session_link.h"
#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

constexpr std::size_t kMaxWaitingPasswords = 1000;
constexpr std::chrono::milliseconds kCertificateCheck{60'000};
// Clients that are told to go all at once come back all at once.
constexpr std::chrono::milliseconds kDrainStep{50};

LinkPool::Open LinksOverRpc(asio::io_context& io, const Config& config) {
  rpc::ClientOptions options = config.rpc;
  options.service = "session-manager";
  return [&io, options, limits = config.MakeLinkLimits()](const std::string& address,
                                                          rpc::GatewayLinkHandler& handler) {
    return rpc::OpenLink(io, options, address, handler, limits);
  };
}

}  // namespace

struct App::Parts {
  Parts(app::Process& process, const Config& config)
      : redis(redis::Client::Create(process.io, config.redis, process.metrics)),
        registry(routing::Registry::Create(process.io, *redis)),
        settings(config.MakeXmppSettings()),
        links(process.io, Clock::System(), LinksOverRpc(process.io, config), config.MakeLinksOptions(),
              {process.common.instance, [this] { return registry->incarnation(); }, process.fail},
              process.metrics),
        passwords(process.io, process.blocking, kMaxWaitingPasswords),
        registrations(static_cast<std::uint32_t>(config.registrations_per_minute)),
        names(config.reserved_names, config.mixed_scripts),
        sign_ins(process.io.get_executor(), Clock::System(), *redis),
        guesses(Clock::System(), config.MakeGuessLimits(), sign_ins),
        xmpp_metrics(process.metrics),
        peers(process.metrics),
        account_budgets(settings.stanza_rate),
        network_budgets(settings.network_stanza_rate),
        connections(process.io),
        xmpp(process.io,
             {links, passwords, settings, xmpp_metrics, registrations, names, guesses, peers, account_budgets,
              network_budgets},
             config.MakeAdmissionOptions(), connections, process.metrics) {}

  std::unique_ptr<redis::Client> redis;
  std::unique_ptr<routing::Registry> registry;
  const XmppSettings settings;
  SessionLinks links;
  PoolPasswordChecker passwords;
  AddressLimiter registrations;
  const AccountNames names;
  RedisSignInLedger sign_ins;
  GuessGuard guesses;
  XmppMetrics xmpp_metrics;
  PeerLog peers;
  StanzaBudgets account_budgets;
  StanzaBudgets network_budgets;
  std::vector<std::shared_ptr<net::TlsContext>> tls;
  std::unique_ptr<runtime::PeriodicTimer> certificate_timer;
  ConnectionSet connections;
  XmppServer xmpp;
};

App::App(app::Process& process, const Config& config) : process_(process), config_(config) {}

App::~App() = default;

Task<absl::Status> App::Start() {
  parts_ = std::make_unique<Parts>(process_, config_);
  Parts& parts = *parts_;

  std::shared_ptr<net::TlsContext> xmpp_tls;
  std::shared_ptr<net::TlsContext> https_tls;
  if (!config_.tls_certificates.empty()) {
    ROOKERY_CO_ASSIGN_OR_RETURN(xmpp_tls, net::TlsContext::Create(config_.MakeTlsOptions({"xmpp-client"})));
    ROOKERY_CO_ASSIGN_OR_RETURN(https_tls, net::TlsContext::Create(config_.MakeTlsOptions({"http/1.1"})));
    parts.tls = {xmpp_tls, https_tls};
    parts.certificate_timer =
        std::make_unique<runtime::PeriodicTimer>(process_.io.get_executor(), kCertificateCheck, [&parts] {
          for (const auto& tls : parts.tls) {
            if (const absl::Status status = tls->ReloadIfChanged(); !status.ok()) {
              telemetry::LogError("tls.reload_failed", {{"reason", status.ToString()}});
            }
          }
        });
  }

  parts.registry->Watch("session-manager", [&parts](const std::vector<routing::Instance>& instances) {
    parts.links.SetInstances(instances);
  });
  parts.registry->Announce("gateway", {process_.common.instance, ""}, process_.fail);

  using Listen = XmppServer::Listen;
  const auto max = static_cast<std::size_t>(config_.max_connections);
  const auto max_per_address = static_cast<std::size_t>(config_.max_connections_per_address);
  Listen listeners[] = {
      {Listen::Kind::kTcp, "xmpp", config_.xmpp_address, config_.tls_mode(), xmpp_tls, max, max_per_address},
      {Listen::Kind::kTcpDirectTls, "xmpp-tls", config_.xmpp_direct_tls_address, TlsMode::kRequired, xmpp_tls,
       max, max_per_address},
      {Listen::Kind::kWebSocket, "websocket", config_.websocket_address, TlsMode::kOff, nullptr, max,
       max_per_address},
      {Listen::Kind::kWebSocketTls, "websocket-tls", config_.websocket_tls_address, TlsMode::kOff, https_tls,
       max, max_per_address},
  };
  for (Listen& listen : listeners) {
    if (listen.address.empty()) continue;
    listen.keepalive = config_.MakeKeepalive();
    ROOKERY_CO_RETURN_IF_ERROR(parts.xmpp.Add(listen));
  }
  co_return absl::OkStatus();
}

Task<void> App::Stop() {
  draining_ = true;
  Parts& parts = *parts_;
  parts.xmpp.Stop();

  // Half of the time for telling them, the rest for their session-managers to take over.
  const auto budget = process_.common.drain_timeout / 2;
  const auto steps = std::max<std::size_t>(1, static_cast<std::size_t>(budget / kDrainStep));
  const std::size_t each = std::max<std::size_t>(100, parts.connections.size() / steps + 1);
  while (parts.connections.ShutdownSome(each) > 0) co_await runtime::Sleep(kDrainStep);

  const auto deadline = std::chrono::steady_clock::now() + budget;
  while ((parts.links.session_count() > 0 || parts.connections.size() > 0) &&
         std::chrono::steady_clock::now() < deadline) {
    co_await runtime::Sleep(kDrainStep);
  }
  telemetry::LogInfo("gateway.drained", {{"sessions_left", parts.links.session_count()},
                                         {"connections_left", parts.connections.size()}});
  co_await parts.registry->Withdraw();
  parts.links.Close();
  co_await runtime::Sleep(kDrainStep);
}

std::string App::NotReadyReason() const {
  if (draining_) return "draining";
  if (parts_ == nullptr || !parts_->xmpp.is_listening()) return "not listening yet";
  if (!parts_->links.is_connected()) return "no session-manager is linked";
  return {};
}

void App::Reload() {
  if (parts_ == nullptr) return;
  for (const auto& tls : parts_->tls) {
    if (const absl::Status status = tls->Reload(); !status.ok()) {
      telemetry::LogError("tls.reload_failed", {{"reason", status.ToString()}});
    } else {
      telemetry::LogInfo("tls.reloaded");
    }
  }
}

}  // namespace rookery::gateway
