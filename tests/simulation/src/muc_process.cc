// A muc process: the real rooms and claims, over the simulation's Kafka, Redis, PostgreSQL and
// network. Mirrors services/muc/src/app.cc and libs/member/src/member.cc.
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/metrics.h"
#include "domain/records/room_shards.h"
#include "domain/service/service_desk.h"
#include "environment.h"
#include "memory_room_store.h"
#include "rookery/base/check.h"
#include "rookery/base/clock.h"
#include "rookery/events/homes.h"
#include "rookery/events/kafka_log.h"
#include "rookery/member/member.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/routing/registry.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using namespace muc;  // NOLINT: this file is that service's part

constexpr seconds kStatementTimeout{5};
constexpr milliseconds kDrainTimeout{5'000};
constexpr milliseconds kTick{100};

/// PostgreSQL's part. The statements of pg_room_store.cc, which change nothing in another turn than the last.
class SimulatedRooms final : public RoomDatabase {
 public:
  std::set<std::string> SessionsIn(const std::string& room) const override {
    std::set<std::string> sessions;
    const auto found = rows_.rooms.find(room);
    if (found == rows_.rooms.end()) return sessions;
    for (const auto& [nick, occupant] : found->second.occupants)
      for (const v1::OccupantSession& session : occupant.sessions()) sessions.insert(session.jid());
    return sessions;
  }
  std::vector<std::string> rooms() const override {
    std::vector<std::string> names;
    for (const auto& [name, room] : rows_.rooms) names.push_back(name);
    return names;
  }
  bool IsPersistent(const std::string& room) const override {
    return rows_.rooms.at(room).listing.is_persistent;
  }
  std::size_t destroyed_rooms() const override { return rows_.destroyed.size(); }

  /// The turn, or nothing.
  Task<absl::StatusOr<std::optional<std::int64_t>>> Claim(std::uint32_t shard, std::int64_t epoch,
                                                          std::int64_t above) {
    co_return rows_.claims.Claim(shard, epoch, above);
  }
  /// Whether the claim stood.
  Task<absl::StatusOr<bool>> Save(std::uint32_t shard, std::int64_t epoch, std::int64_t turn,
                                  RoomChanges changes) {
    const bool stands = rows_.claims.Stands(shard, epoch, turn);
    if (stands) store_.MakeSave(shard, epoch, changes);
    co_return stands;
  }
  Task<absl::StatusOr<bool>> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch, std::int64_t turn,
                                             std::int64_t cursor) {
    const bool stands = rows_.claims.Stands(shard, epoch, turn);
    if (stands) store_.MakeForgetDestroyed(shard, cursor);
    co_return stands;
  }
  /// For what only reads.
  MemoryRoomStore& store() { return store_; }

 private:
  MemoryRoomDatabase rows_;
  MemoryRoomStore store_{rows_};
};

/// Statements run there, and may have run when the answer is an error. The asker may be gone by then.
class RemoteRoomStore final : public RoomStore {
 public:
  RemoteRoomStore(Environment& environment, Process& process, SimulatedRooms& rooms)
      : environment_(environment),
        process_(process),
        rooms_(rooms),
        claims_([this](std::uint32_t shard, std::int64_t epoch, std::int64_t above) {
          return Ask<absl::StatusOr<std::optional<std::int64_t>>>(
              [=](SimulatedRooms& db) { return db.Claim(shard, epoch, above); });
        }) {}

  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) override {
    return claims_.Claim(shard, epoch);
  }
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override {
    return Ask<absl::StatusOr<std::int64_t>>([=](SimulatedRooms& db) { return db.store().ClaimedBy(shard); });
  }
  Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override {
    return Ask<absl::Status>([=](SimulatedRooms& db) { return db.store().KeepCursor(shard, epoch, cursor); });
  }
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override {
    return Ask<absl::StatusOr<std::int64_t>>(
        [=](SimulatedRooms& db) { return db.store().FindCursor(shard); });
  }
  Task<absl::StatusOr<Loaded>> Load(std::uint32_t shard, std::vector<std::string> rooms,
                                    std::size_t max_bytes) override {
    return Ask<absl::StatusOr<Loaded>>([shard, rooms = std::move(rooms), max_bytes](SimulatedRooms& db) {
      return db.store().Load(shard, rooms, max_bytes);
    });
  }
  Task<absl::Status> Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) override {
    if (environment_.mutation == "forget-rooms") co_return absl::OkStatus();
    pg::HeldClaims::Statement save = [this, shard, epoch, changes = std::move(changes)](std::int64_t turn) {
      return Ask<absl::StatusOr<bool>>(
          [=](SimulatedRooms& db) { return db.Save(shard, epoch, turn, changes); });
    };
    const absl::Status saved = co_await claims_.Execute(shard, epoch, std::move(save));
    co_return saved;
  }
  Task<absl::Status> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override {
    pg::HeldClaims::Statement forget = [this, shard, epoch, cursor](std::int64_t turn) {
      return Ask<absl::StatusOr<bool>>(
          [=](SimulatedRooms& db) { return db.ForgetDestroyed(shard, epoch, turn, cursor); });
    };
    const absl::Status forgotten = co_await claims_.Execute(shard, epoch, std::move(forget));
    co_return forgotten;
  }
  Task<absl::StatusOr<RoomPage>> List(RoomQuery query) override {
    return Ask<absl::StatusOr<RoomPage>>([=](SimulatedRooms& db) { return db.store().List(query); });
  }
  Task<absl::StatusOr<std::string>> Secret() override {
    return Ask<absl::StatusOr<std::string>>([](SimulatedRooms& db) { return db.store().Secret(); });
  }
  Task<absl::StatusOr<bool>> Reserve(std::string room, std::string creator, std::int64_t most) override {
    return Ask<absl::StatusOr<bool>>(
        [=](SimulatedRooms& db) { return db.store().Reserve(room, creator, most); });
  }

 private:
  template <typename T, typename Run>
  Task<T> Ask(Run run) {
    absl::AnyInvocable<Task<T>()> statement = [&rooms = rooms_, run = std::move(run)]() mutable {
      return run(rooms);
    };
    return environment_.world.Call<T>(process_, environment_.postgres, kStatementTimeout,
                                      std::move(statement));
  }

  Environment& environment_;
  Process& process_;
  SimulatedRooms& rooms_;
  pg::HeldClaims claims_;
};

class SimulatedMuc final : public MemberProcess {
 public:
  SimulatedMuc(Environment& environment, SimulatedRooms& rooms, std::string name)
      : MemberProcess(environment.world, std::move(name)), environment_(environment), rooms_(rooms) {}

  bool is_live(std::uint32_t shard) const override {
    const sharding::Shard* const found = parts_ == nullptr ? nullptr : parts_->owner->Find(shard);
    return found != nullptr && found->live();
  }

 private:
  // In the order of making; unmade in reverse.
  struct Parts {
    telemetry::Metrics metrics{"muc"};
    Settings settings;
    std::unique_ptr<redis::Client> redis;
    std::unique_ptr<routing::Registry> registry;
    std::unique_ptr<events::KafkaLog> log;
    std::unique_ptr<RemoteRoomStore> store;
    std::unique_ptr<MucMetrics> muc_metrics;
    std::unique_ptr<ServiceDesk> desk;
    std::unique_ptr<sharding::ShardOwner> owner;
    std::unique_ptr<RoomShards> shards;
    std::unique_ptr<runtime::PeriodicTimer> timer;
  };

  void Boot() override {
    parts_ = std::make_unique<Parts>();
    Parts& p = *parts_;
    p.settings.occupant_id_key = std::string(32, 's');
    p.redis = MakeRedisClient(world(), *this, environment_.redis, environment_.redis_data);
    p.registry = routing::Registry::Create(io(), *p.redis);
    const std::uint32_t shards = environment_.shards;
    p.log = std::make_unique<events::KafkaLog>(environment_.kafka.MakeProducer(*this),
                                               environment_.kafka.MakeProducer(*this),
                                               events::Topology({shards, shards, shards, shards}));
    p.store = std::make_unique<RemoteRoomStore>(environment_, *this, rooms_);
    p.muc_metrics = std::make_unique<MucMetrics>(p.metrics);
    p.desk = std::make_unique<ServiceDesk>(p.settings, *p.store);
    sharding::OwnerOptions options;
    options.instance = name();
    options.topic = events::Topic::kRooms;
    p.owner = std::make_unique<sharding::ShardOwner>(
        io().get_executor(), Clock::System(), std::move(options), *p.log,
        [&p](const std::map<std::uint32_t, std::int64_t>& epochs) {
          if (p.registry) p.registry->PublishShards(epochs);
        },
        member::EpochsIn(*p.registry, "muc"), p.metrics);
    p.log->OnBroken([&p] { p.owner->OnLogBroken(); });
    p.shards = std::make_unique<RoomShards>(io().get_executor(), p.settings, Clock::System(), *p.owner,
                                            p.log->topology(), *p.store, *p.desk, *p.muc_metrics);
    const std::string address = name() + ":" + std::to_string(life());
    p.registry->Announce("muc", {name(), address}, [this](const absl::Status&) { EndSoon(); });
    const absl::Status joined = p.owner->Join(*p.shards, [this](kafka::ConsumerHandler& handler) {
      return environment_.kafka.MakeConsumer(*this, "rooms", "muc", handler);
    });
    ROOKERY_CHECK(joined.ok());
    p.timer =
        std::make_unique<runtime::PeriodicTimer>(io().get_executor(), kTick, [&p] { p.shards->Tick(); });
  }
  Task<void> Drain() override {
    Parts& p = *parts_;
    co_await p.registry->Withdraw();
    co_await p.owner->Leave(kDrainTimeout);
    (void)co_await p.log->Flush(milliseconds(2'000));
  }
  void Unmake() override {
    Parts& p = *parts_;
    p.timer.reset();
    // Its last coroutines end on the loop, while all that they use is still there.
    p.registry.reset();
    io().restart();
    io().poll();
    parts_.reset();
  }

  Environment& environment_;
  SimulatedRooms& rooms_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace

std::unique_ptr<RoomDatabase> MakeRoomDatabase() { return std::make_unique<SimulatedRooms>(); }

std::unique_ptr<MemberProcess> MakeMuc(Environment& environment, RoomDatabase& database, std::string name) {
  return std::make_unique<SimulatedMuc>(environment, static_cast<SimulatedRooms&>(database), std::move(name));
}

}  // namespace rookery::simulation
