#include "app.h"

#include "adapters/pg_room_store.h"
#include "domain/metrics.h"
#include "domain/records/room_shards.h"
#include "domain/service/service_desk.h"
#include "migrations.h"
#include "rookery/base/status.h"

namespace rookery::muc {

namespace {

constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::milliseconds kConnectLimit{2'000};
/// For searches, and for other lists of rooms.
constexpr std::int64_t kListConnections = 2;

}  // namespace

// In the order of making; unmade in reverse.
struct App::Parts {
  std::unique_ptr<pg::Pool> pool;
  std::unique_ptr<pg::Pool> reading_pool;
  std::unique_ptr<pg::Pool> list_pool;
  std::unique_ptr<PgRoomStore> store;
  std::unique_ptr<MucMetrics> metrics;
  std::unique_ptr<ServiceDesk> desk;
  std::unique_ptr<RoomShards> shards;
  std::unique_ptr<runtime::PeriodicTimer> timer;
};

App::App(app::Process& process, const Config& config)
    : process_(process),
      config_(config),
      member_(process, config_.member,
              {.service = events::Service::kMuc,
               .consumer_group = std::string(kDescription.name),
               .callers = {"session-manager"}}),
      parts_(std::make_unique<Parts>()) {}

App::~App() { member_.End(); }

Task<absl::Status> App::Start() {
  Parts& p = *parts_;
  asio::io_context& io = process_.io;
  ROOKERY_CO_RETURN_IF_ERROR(co_await pg::Migrate(io, config_.pg, "muc", Migrations()));
  p.pool = pg::Pool::Create(io, config_.pg, process_.metrics);
  // Migrate has just reached it.
  (void)co_await p.pool->AwaitConnected(Deadline::After(kConnectLimit));
  // Three pools: checkpoints do not wait for the loading of rooms, and neither waits for a search.
  p.reading_pool = pg::Pool::Create(io, config_.pg, process_.metrics);
  pg::Options list_options = config_.pg;
  list_options.connections = kListConnections;
  p.list_pool = pg::Pool::Create(io, list_options, process_.metrics);
  p.store = std::make_unique<PgRoomStore>(*p.pool, *p.reading_pool, *p.list_pool);
  auto secret = co_await p.store->Secret();
  if (!secret.ok()) co_return secret.status();
  config_.settings.occupant_id_key = *std::move(secret);
  config_.settings.version = process_.version;
  ROOKERY_CO_RETURN_IF_ERROR(co_await member_.Connect());

  p.metrics = std::make_unique<MucMetrics>(process_.metrics);
  p.desk = std::make_unique<ServiceDesk>(config_.settings, *p.store);
  p.shards =
      std::make_unique<RoomShards>(io.get_executor(), config_.settings, Clock::System(), member_.owner(),
                                   member_.log().topology(), *p.store, *p.desk, *p.metrics);
  ROOKERY_CO_RETURN_IF_ERROR(co_await member_.Join(*p.shards, {}));
  p.timer =
      std::make_unique<runtime::PeriodicTimer>(io.get_executor(), kTick, [this] { parts_->shards->Tick(); });
  co_return absl::OkStatus();
}

Task<void> App::Stop() {
  co_await member_.Leave();
  co_await member_.Close();
}

std::string App::NotReadyReason() const { return member_.NotReadyReason(); }

}  // namespace rookery::muc
