#include "rookery/sharding/member.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <boost/asio/post.hpp>
#include <utility>

#include "disco_rpc.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {
namespace {

constexpr std::chrono::milliseconds kTopicTimeout{20'000};
// A group has settled by then even when a member was killed (6 s). Who owns nothing
// afterwards is one replica more than there are shards, and as ready as it will be.
constexpr std::chrono::seconds kSettled{10};
constexpr std::chrono::milliseconds kCallGrace{2'000};

}  // namespace

void MemberConfig::Bind(config::Schema& schema) {
  kafka.Bind(schema);
  schema.Bind("kafka.partitions", &partitions, "Shards of a topic that does not exist yet", 1, 10'000);
  redis.Bind(schema);
  rpc.Bind(schema);
}

absl::Status MemberConfig::Validate() const {
  if (kafka.brokers.empty())
    return absl::InvalidArgumentError("`kafka.brokers` must name at least one broker");
  if (redis.addresses.empty())
    return absl::InvalidArgumentError("`redis.addresses` must name at least one address");
  return absl::OkStatus();
}

Member::Member(app::Process& process, const MemberConfig& config, MemberDescription description)
    : process_(process), config_(config), description_(std::move(description)) {
  config_.kafka.client_id = process_.common.instance;
}

Member::~Member() = default;

Task<absl::Status> Member::Start() {
  redis_ = redis::Client::Create(process_.io, config_.redis, process_.metrics);
  registry_ = routing::Registry::Create(process_.io, *redis_);
  runtime::Promise<absl::StatusOr<std::vector<int>>> made(process_.io.get_executor());
  asio::post(process_.blocking, [made, options = config_.kafka, topic = description_.topic,
                                 partitions = static_cast<int>(config_.partitions)]() mutable {
    made.Set(kafka::EnsureTopics(options, {{topic, partitions, {}}}, kTopicTimeout));
  });
  const absl::StatusOr<std::vector<int>> counts = co_await made.Get();
  ROOKERY_CO_RETURN_IF_ERROR(counts.status());

  shards_ = std::make_unique<ShardConsumer>(process_.io.get_executor(), description_.start, process_.metrics,
                                            description_.on_record,
                                            [this] { registry_->PublishShards(shards_->epochs()); });
  disco_ = std::make_unique<DiscoDesk>(static_cast<std::uint32_t>(counts->front()), description_.info,
                                       [this](std::uint32_t shard) { return shards_->Owns(shard); });
  disco_rpc_ = MakeDiscoRpc(process_.io, *disco_, process_.metrics);
  std::vector<grpc::Service*> services{disco_rpc_.get()};
  ROOKERY_CO_ASSIGN_OR_RETURN(server_, rpc::Server::Start(config_.rpc, std::move(services)));
  telemetry::LogInfo("rpc.listening",
                     {{"address", server_->bound_address()}, {"advertised", server_->advertised_address()}});

  ROOKERY_CO_ASSIGN_OR_RETURN(auto consumer,
                              kafka::Consumer::Create(process_.io, config_.kafka, description_.topic,
                                                      description_.service, *shards_, process_.metrics));
  shards_->Attach(std::move(consumer));

  server_->SetServing(true);
  registry_->Announce(description_.service, {process_.common.instance, server_->advertised_address()});
  telemetry::LogInfo("member.joined", {{"topic", description_.topic}, {"shards", counts->front()}});
  co_return absl::OkStatus();
}

Task<void> Member::Stop() {
  server_->SetServing(false);
  co_await registry_->Withdraw();
  co_await shards_->Close(process_.common.drain_timeout / 2);
  runtime::Promise<bool> ended(process_.io.get_executor());
  asio::post(process_.blocking, [ended, server = server_.get()]() mutable {
    server->Shutdown(kCallGrace);
    ended.Set(true);
  });
  co_await ended.Get();
}

std::string Member::NotReadyReason() const {
  if (!redis_->is_connected()) return "Redis is not connected";
  if (const absl::Status contact = shards_->Contact(); !contact.ok()) return "Kafka: " + contact.ToString();
  if (shards_->owned() == 0 && std::chrono::steady_clock::now() - shards_->idle_since() < kSettled) {
    return "no shard is assigned yet";
  }
  return "";
}

}  // namespace rookery::sharding
