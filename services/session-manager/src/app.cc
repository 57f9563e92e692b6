#include "app.h"

#include <boost/asio/post.hpp>

#include "adapters/grpc_roster.h"
#include "adapters/grpc_service_disco.h"
#include "adapters/pg_account_store.h"
#include "adapters/pg_waiting_store.h"
#include "adapters/redis_session_directory.h"
#include "adapters/registry_membership.h"
#include "adapters/scram_key_maker.h"
#include "domain/domain.h"
#include "domain/sessions/directory_writer.h"
#include "domain/sessions/session_keeper.h"
#include "migrations.h"
#include "rookery/base/status.h"
#include "rookery/events/kafka_log.h"
#include "rookery/routing/registry.h"
#include "rookery/sharding/member.h"
#include "rookery/telemetry/log.h"
#include "rpc/gateway_links.h"

namespace rookery::session_manager {

namespace {
constexpr std::chrono::milliseconds kSweepPeriod{500};
constexpr std::chrono::milliseconds kLeaveTimeout{6'000};
constexpr std::chrono::milliseconds kDirectoryPeriod{100};
}  // namespace

// In the order of making; unmade in reverse.
struct App::Parts {
  std::unique_ptr<redis::Client> redis;
  std::unique_ptr<routing::Registry> registry;
  std::unique_ptr<pg::Pool> pool;
  std::unique_ptr<events::KafkaLog> log;
  std::unique_ptr<RegistryMembership> membership;
  std::unique_ptr<PgAccountStore> accounts;
  std::unique_ptr<PgWaitingStore> waiting;
  std::unique_ptr<ScramKeyMaker> keys;
  std::unique_ptr<GrpcRoster> roster;
  std::unique_ptr<GrpcServiceDisco> service_disco;
  std::unique_ptr<RedisSessionDirectory> directory;
  std::unique_ptr<Domain> domain;
  std::unique_ptr<GatewayLinks> links;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<runtime::PeriodicTimer> sweep_timer;
  std::unique_ptr<runtime::PeriodicTimer> directory_timer;
};

App::App(app::Process& process, const Config& config)
    : process_(process), config_(config), parts_(std::make_unique<Parts>()) {
  config_.settings.instance = process.common.instance;
  config_.settings.version = process.version;
  config_.kafka.client_id = process.common.instance;
}

App::~App() = default;

Task<absl::Status> App::Start() {
  Parts& p = *parts_;
  asio::io_context& io = process_.io;

  const absl::Status migrated = co_await pg::Migrate(io, config_.pg, "session-manager", Migrations());
  if (!migrated.ok()) co_return migrated;
  p.pool = pg::Pool::Create(io, config_.pg, process_.metrics);

  ROOKERY_CO_ASSIGN_OR_RETURN(
      p.log, co_await events::KafkaLog::Open(io, process_.blocking, config_.kafka,
                                             static_cast<int>(config_.partitions), process_.metrics));

  p.redis = redis::Client::Create(io, config_.redis, process_.metrics);
  p.registry = routing::Registry::Create(io, *p.redis);
  p.membership = std::make_unique<RegistryMembership>(*p.registry);
  p.accounts = std::make_unique<PgAccountStore>(*p.pool);
  p.waiting = std::make_unique<PgWaitingStore>(*p.pool);
  p.keys = std::make_unique<ScramKeyMaker>(io.get_executor(), process_.blocking,
                                           static_cast<std::uint32_t>(config_.scram_iterations));
  p.roster = std::make_unique<GrpcRoster>(io, *p.registry, rpc::ClientOptions{config_.rpc.tls});
  p.service_disco = std::make_unique<GrpcServiceDisco>(
      io, *p.registry, rpc::ClientOptions{config_.rpc.tls},
      std::map<std::string, std::uint32_t>{
          {"muc", p.log->topology().partitions(events::Topic::kRooms)},
          {"search", p.log->topology().partitions(events::Topic::kMessages)}});
  p.directory = std::make_unique<RedisSessionDirectory>(*p.redis, config_.settings.instance);
  p.domain = std::make_unique<Domain>(
      io.get_executor(), config_.settings,
      Ports{*p.log, *p.membership, *p.accounts, *p.keys, *p.waiting, *p.roster, *p.service_disco,
            *p.directory, sharding::EpochsIn(*p.registry, "session-manager")},
      Clock::System(), process_.metrics);

  rpc::LinkLimits limits;
  limits.max_outbox_bytes = static_cast<std::size_t>(config_.max_link_bytes);
  p.links = std::make_unique<GatewayLinks>(io, p.domain->sessions(), limits);
  auto server = rpc::Server::Start(config_.rpc, {p.links->service()});
  if (!server.ok()) co_return server.status();
  p.server = *std::move(server);
  telemetry::LogInfo("rpc.listening", {{"address", p.server->bound_address()}});

  p.registry->Watch("gateway", [](const auto&) {});
  p.registry->Watch("roster", [](const auto&) {});
  p.registry->Watch("session-manager",
                    [&p](const std::vector<routing::Instance>& all) { p.links->SetSessionManagers(all); });
  p.registry->Announce("session-manager", {config_.settings.instance, p.server->advertised_address()},
                       process_.fail);

  // Last: from here on shards arrive.
  ROOKERY_CO_RETURN_IF_ERROR(p.domain->Join([this](kafka::ConsumerHandler& handler) {
    return kafka::Consumer::Create(process_.io, config_.kafka, "users", "session-managers", handler,
                                   process_.metrics);
  }));
  p.sweep_timer = std::make_unique<runtime::PeriodicTimer>(io.get_executor(), kSweepPeriod,
                                                           [this] { parts_->domain->Sweep(); });
  p.directory_timer = std::make_unique<runtime::PeriodicTimer>(
      io.get_executor(), kDirectoryPeriod, [this] { parts_->domain->directory().Flush(); });
  p.server->SetServing(true);
  started_ = true;
  co_return absl::OkStatus();
}

Task<void> App::Stop() {
  Parts& p = *parts_;
  p.server->SetServing(false);
  co_await p.registry->Withdraw();
  // Leaving the group hands every shard over; gateways move their sessions to the new owners.
  co_await p.domain->owner().Leave(kLeaveTimeout);
  const absl::Status flushed = co_await p.log->Flush(kLeaveTimeout);
  if (!flushed.ok()) telemetry::LogWarn("log.flush_failed", {{"error", Message(flushed)}});
  p.links->CloseAll();
  runtime::Promise<bool> closed(process_.io.get_executor());
  asio::post(process_.blocking, [closed, server = p.server.get()]() mutable {
    server->Shutdown(std::chrono::milliseconds(1'000));
    closed.Set(true);
  });
  (void)co_await closed.Get();
}

std::string App::NotReadyReason() const {
  if (!started_) return "starting";
  return parts_->domain->owner().NotReadyReason();
}

}  // namespace rookery::session_manager
