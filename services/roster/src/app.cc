#include "app.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <algorithm>

#include "adapters/pg_roster_store.h"
#include "domain/roster_keeper.h"
#include "migrations.h"
#include "rookery/base/status.h"
#include "rookery/routing/registry.h"
#include "rookery/telemetry/log.h"
#include "rpc/roster_rpc.h"

namespace rookery::roster {

namespace {
/// Callers learn within this time that we leave; running calls end meanwhile.
constexpr std::chrono::milliseconds kGrace{2'000};
constexpr std::chrono::milliseconds kConnectLimit{2'000};
/// Answers that are too old are looked for so often at least.
constexpr std::chrono::milliseconds kSweptEvery = std::chrono::minutes(5);

Task<void> ForgetOldAnswers(RosterStore& store, std::chrono::milliseconds every) {
  for (;;) {
    co_await runtime::Sleep(every);
    const absl::Status forgotten = co_await store.ForgetOldAnswers();
    if (!forgotten.ok()) telemetry::LogWarn("answers.kept_too_long", {{"error", Message(forgotten)}});
  }
}
}  // namespace

// In the order of making; unmade in reverse.
struct App::Parts {
  std::unique_ptr<pg::Pool> pool;
  std::unique_ptr<redis::Client> redis;
  std::unique_ptr<routing::Registry> registry;
  std::unique_ptr<PgRosterStore> store;
  std::unique_ptr<RosterKeeper> keeper;
  std::unique_ptr<grpc::Service> service;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<runtime::TaskGroup> tasks;
};

App::App(app::Process& process, const Config& config)
    : process_(process), config_(config), parts_(std::make_unique<Parts>()) {}

App::~App() = default;

Task<absl::Status> App::Start() {
  Parts& p = *parts_;
  asio::io_context& io = process_.io;
  const absl::Status migrated = co_await pg::Migrate(io, config_.pg, "roster", Migrations());
  if (!migrated.ok()) co_return migrated;
  p.pool = pg::Pool::Create(io, config_.pg, process_.metrics);
  // Migrate has just reached it: who finds us in the registry is to be served at once.
  (void)co_await p.pool->AwaitConnected(Deadline::After(kConnectLimit));
  p.store = std::make_unique<PgRosterStore>(*p.pool, config_.answers_kept_for);
  p.keeper = std::make_unique<RosterKeeper>(*p.store);
  p.service = MakeRosterRpc(io, *p.keeper, process_.metrics);
  rpc::ServerOptions rpc = config_.rpc;
  rpc.callers = {"session-manager"};
  auto server = rpc::Server::Start(rpc, {p.service.get()});
  if (!server.ok()) co_return server.status();
  p.server = *std::move(server);
  telemetry::LogInfo("rpc.listening", {{"address", p.server->bound_address()}});
  p.redis = redis::Client::Create(io, config_.redis, process_.metrics);
  p.registry = routing::Registry::Create(io, *p.redis);
  p.registry->Announce("roster", {process_.common.instance, p.server->advertised_address()}, process_.fail);
  p.server->SetServing(true);
  p.tasks = std::make_unique<runtime::TaskGroup>(io.get_executor());
  p.tasks->Spawn("answers.forget",
                 ForgetOldAnswers(*p.store, std::min(config_.answers_kept_for / 2, kSweptEvery)));
  started_ = true;
  co_return absl::OkStatus();
}

Task<void> App::Stop() {
  Parts& p = *parts_;
  p.server->SetServing(false);
  co_await p.tasks->Stop();
  co_await p.registry->Withdraw();
  co_await p.server->Stop(process_.io.get_executor(), process_.blocking, kGrace);
}

std::string App::NotReadyReason() const {
  // An outage of the database is answered call by call: taking every instance out of service helps nobody.
  return started_ ? "" : "starting";
}

}  // namespace rookery::roster
