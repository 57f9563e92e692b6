// A search process: the real machinery of shards and the desk that answers disco, over the simulation's
// Kafka, Redis and network. Mirrors libs/member/src/member.cc.
#include <chrono>
#include <memory>
#include <utility>

#include "environment.h"
#include "rookery/base/check.h"
#include "rookery/base/clock.h"
#include "rookery/events/homes.h"
#include "rookery/events/kafka_log.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/member/disco_desk.h"
#include "rookery/member/member.h"
#include "rookery/routing/registry.h"
#include "rookery/sharding/record_shards.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::simulation {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kDrainTimeout{5'000};

class SimulatedSearch final : public SearchProcess {
 public:
  SimulatedSearch(Environment& environment, std::string name)
      : SearchProcess(environment.world, std::move(name)), environment_(environment) {}

  bool is_live(std::uint32_t shard) const override { return parts_ != nullptr && parts_->is_live(shard); }

  Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(
      disco::v1::GetDiscoInfoRequest request) override {
    co_return parts_->disco->Info(request);
  }
  Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(
      disco::v1::ListDiscoItemsRequest request) override {
    co_return parts_->disco->Items(request);
  }

 private:
  // In the order of making; unmade in reverse.
  struct Parts {
    telemetry::Metrics metrics{"search"};
    std::unique_ptr<redis::Client> redis;
    std::unique_ptr<routing::Registry> registry;
    std::unique_ptr<events::KafkaLog> log;
    std::unique_ptr<sharding::ShardService> shards;
    std::unique_ptr<sharding::ShardOwner> owner;
    std::unique_ptr<member::DiscoDesk> disco;

    bool is_live(std::uint32_t shard) const {
      const sharding::Shard* const found = owner->Find(shard);
      return found != nullptr && found->live();
    }
  };
  std::string Address() const { return name() + ":" + std::to_string(life()); }

  void Boot() override {
    parts_ = std::make_unique<Parts>();
    Parts& p = *parts_;
    p.redis = MakeRedisClient(world(), *this, environment_.redis, environment_.redis_data);
    p.registry = routing::Registry::Create(io(), *p.redis);
    const std::uint32_t shards = environment_.shards;
    p.log = std::make_unique<events::KafkaLog>(environment_.kafka.MakeProducer(*this),
                                               environment_.kafka.MakeProducer(*this),
                                               events::Topology({shards, shards, shards, shards}));
    sharding::OwnerOptions options;
    options.instance = name();
    options.topic = events::Topic::kMessages;
    p.shards = std::make_unique<sharding::RecordShards<events::v1::MessageEvent>>();
    const std::string topic(events::Name(options.topic));
    p.owner = std::make_unique<sharding::ShardOwner>(
        io().get_executor(), Clock::System(), std::move(options), *p.log,
        [&p](const std::map<std::uint32_t, std::int64_t>& epochs) {
          if (p.registry) p.registry->PublishShards(epochs);
        },
        member::EpochsIn(*p.registry, "search"), p.metrics);
    p.log->OnBroken([&p] { p.owner->OnLogBroken(); });
    p.disco = std::make_unique<member::DiscoDesk>(
        member::PlainInfo("directory", "user", "Search"), [&p](std::string_view address) {
          return p.is_live(events::HomeWith(events::Service::kSearch, p.log->topology(), address).partition);
        });
    environment_.searches[Address()] = this;
    p.registry->Announce("search", {name(), Address()}, [this](const absl::Status&) { EndSoon(); });
    const absl::Status joined = p.owner->Join(*p.shards, [this, topic](kafka::ConsumerHandler& handler) {
      return environment_.kafka.MakeConsumer(*this, topic, "search", handler);
    });
    ROOKERY_CHECK(joined.ok());
  }
  Task<void> Drain() override {
    Parts& p = *parts_;
    co_await p.registry->Withdraw();
    co_await p.owner->Leave(kDrainTimeout);
    (void)co_await p.log->Flush(milliseconds(2'000));
  }
  void Unmake() override {
    environment_.searches.erase(Address());
    // Its last coroutines end on the loop, while all that they use is still there.
    parts_->registry.reset();
    io().restart();
    io().poll();
    parts_.reset();
  }

  Environment& environment_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace

std::unique_ptr<SearchProcess> MakeSearch(Environment& environment, std::string name) {
  return std::make_unique<SimulatedSearch>(environment, std::move(name));
}

}  // namespace rookery::simulation
