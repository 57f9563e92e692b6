#include "app.h"

#include "adapters/grpc_roster.h"
#include "adapters/grpc_service_disco.h"
#include "adapters/pg_account_store.h"
#include "adapters/pg_waiting_store.h"
#include "adapters/redis_session_directory.h"
#include "adapters/registry_membership.h"
#include "adapters/scram_key_maker.h"
#include "domain.h"
#include "domain/inbound/session_keeper.h"
#include "domain/outbound/directory_writer.h"
#include "migrations.h"
#include "rookery/base/status.h"
#include "rookery/member/member.h"
#include "rpc/gateway_links.h"

namespace rookery::session_manager {

namespace {

constexpr char kService[] = "session-manager";
constexpr std::chrono::milliseconds kSweepPeriod{500};
constexpr std::chrono::milliseconds kDirectoryPeriod{100};

Config Completed(Config config, const app::Process& process) {
  config.settings.instance = process.common.instance;
  config.settings.version = process.version;
  return config;
}

}  // namespace

// In the order of making; unmade in reverse.
struct App::Parts {
  std::unique_ptr<pg::Pool> pool;
  std::unique_ptr<pg::Pool> loading_pool;
  std::unique_ptr<RegistryMembership> membership;
  std::unique_ptr<PgAccountStore> accounts;
  std::unique_ptr<PgWaitingStore> waiting;
  std::unique_ptr<ScramKeyMaker> keys;
  std::unique_ptr<GrpcRoster> roster;
  std::unique_ptr<GrpcServiceDisco> service_disco;
  std::unique_ptr<RedisSessionDirectory> directory;
  std::unique_ptr<Domain> domain;
  std::unique_ptr<GatewayLinks> links;
  std::unique_ptr<runtime::PeriodicTimer> sweep_timer;
  std::unique_ptr<runtime::PeriodicTimer> directory_timer;
};

App::App(app::Process& process, const Config& config)
    : process_(process),
      config_(Completed(config, process)),
      member_(process, config_.member,
              {.service = events::Service::kAccounts,
               .consumer_group = "session-managers",
               .callers = {"gateway"}}),
      parts_(std::make_unique<Parts>()) {}

App::~App() { member_.End(); }

Task<absl::Status> App::Start() {
  Parts& p = *parts_;
  asio::io_context& io = process_.io;

  ROOKERY_CO_RETURN_IF_ERROR(co_await pg::Migrate(io, config_.pg, kService, Migrations()));
  p.pool = pg::Pool::Create(io, config_.pg, process_.metrics);
  // Pages of a new shard are large, and nobody who signs in is to wait behind them.
  pg::Options loading = config_.pg;
  loading.connections = 1;
  p.loading_pool = pg::Pool::Create(io, loading, process_.metrics);
  ROOKERY_CO_RETURN_IF_ERROR(co_await member_.Connect());

  routing::Registry& registry = member_.registry();
  const rpc::ServerOptions& rpc = config_.member.rpc;
  rpc::ClientOptions calls;
  calls.tls = rpc.tls;
  calls.insecure = rpc.insecure;
  p.membership = std::make_unique<RegistryMembership>(registry);
  p.accounts = std::make_unique<PgAccountStore>(*p.pool);
  p.waiting = std::make_unique<PgWaitingStore>(*p.pool, *p.loading_pool);
  p.keys = std::make_unique<ScramKeyMaker>(io.get_executor(), process_.blocking,
                                           static_cast<std::uint32_t>(config_.scram_iterations));
  p.roster = std::make_unique<GrpcRoster>(io, registry, calls);
  p.service_disco = std::make_unique<GrpcServiceDisco>(io, registry, calls);
  p.directory = std::make_unique<RedisSessionDirectory>(member_.redis(), config_.settings.instance);
  p.domain = std::make_unique<Domain>(io.get_executor(), config_.settings,
                                      Ports{member_.owner(), member_.log(), *p.membership, *p.accounts,
                                            *p.keys, *p.waiting, *p.roster, *p.service_disco, *p.directory},
                                      Clock::System(), process_.metrics);

  rpc::LinkLimits limits;
  limits.max_outbox_bytes = static_cast<std::size_t>(config_.max_link_bytes);
  p.links = std::make_unique<GatewayLinks>(io, p.domain->sessions(), limits);
  registry.Watch("gateway", [&p](const auto&) { p.domain->sessions().OnGatewaysRegistered(); });
  registry.Watch("roster", [](const auto&) {});
  registry.Watch(std::string(events::Name(events::Service::kMuc)), [](const auto&) {});
  registry.Watch(kService,
                 [&p](const std::vector<routing::Instance>& all) { p.links->SetSessionManagers(all); });

  ROOKERY_CO_RETURN_IF_ERROR(co_await member_.Join(p.domain->shard_service(), {p.links->service()}));
  p.sweep_timer = std::make_unique<runtime::PeriodicTimer>(io.get_executor(), kSweepPeriod,
                                                           [this] { parts_->domain->Sweep(); });
  p.directory_timer = std::make_unique<runtime::PeriodicTimer>(
      io.get_executor(), kDirectoryPeriod, [this] { parts_->domain->directory().Flush(); });
  co_return absl::OkStatus();
}

Task<void> App::Stop() {
  // Hands every shard over; gateways move their sessions to the new owners.
  co_await member_.Leave();
  parts_->links->CloseAll();
  co_await member_.Close();
}

std::string App::NotReadyReason() const { return member_.NotReadyReason(); }

}  // namespace rookery::session_manager
