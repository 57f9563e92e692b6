#include "rookery/member/member.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <utility>

#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::member {
namespace {

constexpr std::chrono::milliseconds kCallGrace{2'000};

}  // namespace

void MemberConfig::Bind(config::Schema& schema) {
  schema.Bind("shards.max-unfinished-records", &shards.max_unfinished_records,
              "records of one shard that may be unfinished before no more are read", 1'000, 10'000'000);
  schema.Bind("shards.max-unfinished-bytes", &shards.max_unfinished_bytes, "the same in bytes", 1'048'576,
              std::int64_t{1} << 40);
  schema.Bind("shards.max-follow-ups", &shards.max_follow_ups,
              "records that may follow from those of one shard while its oldest unfinished one stays "
              "unfinished before no more are read: a new owner would say them again, so all who read them "
              "remember them (2 to 4 bytes each)",
              10'000, 1'000'000'000);
  schema.Bind("shards.duplicate-horizon", &shards.duplicate_horizon,
              "how far back a repeated record can lie");
  kafka.Bind(schema);
  schema.Bind("kafka.partitions", &partitions, "partitions of topics that this process has to create", 1,
              10'000);
  redis.Bind(schema);
  rpc.Bind(schema);
}

void MemberConfig::Validate(config::Problems& problems) const {
  if (shards.duplicate_horizon < std::chrono::seconds(1))
    problems.Add("shards.duplicate-horizon", "must be at least 1s");
  kafka.Validate(problems);
  redis.Validate(problems);
  rpc.Validate(problems);
}

void MemberConfig::CheckFiles(config::Problems& problems) const {
  kafka.CheckFiles(problems);
  rpc.tls.CheckFiles(problems);
}

Member::Member(app::Process& process, const MemberConfig& config, MemberDescription description)
    : process_(process), config_(config), description_(std::move(description)) {
  config_.kafka.client_id = process_.common.instance;
  config_.rpc.callers = description_.callers;
  config_.shards.instance = process_.common.instance;
  config_.shards.topic = events::TopicOf(description_.service);
}

Member::~Member() = default;

sharding::ShardOwner::PublishedEpoch EpochsIn(routing::Registry& registry, std::string service) {
  return [&registry, service = std::move(service)](std::uint32_t shard) -> Task<std::int64_t> {
    return [](routing::Registry& from, std::string name, std::uint32_t number) -> Task<std::int64_t> {
      const auto owners = co_await from.ReadShards(std::move(name));
      if (!owners.ok()) co_return -1;  // only a hint
      for (const routing::OwnerEntry& owner : *owners)
        if (owner.shard == number) co_return owner.epoch;
      co_return -1;
    }(registry, service, shard);
  };
}

Task<absl::Status> Member::Connect() {
  redis_ = redis::Client::Create(process_.io, config_.redis, process_.metrics);
  registry_ = routing::Registry::Create(process_.io, *redis_);
  ROOKERY_CO_ASSIGN_OR_RETURN(
      log_, co_await events::KafkaLog::Open(process_.io, process_.blocking, config_.kafka,
                                            static_cast<int>(config_.partitions), process_.metrics));
  owner_ = std::make_unique<sharding::ShardOwner>(
      process_.io.get_executor(), Clock::System(), config_.shards, *log_,
      [this](const std::map<std::uint32_t, std::int64_t>& epochs) { registry_->PublishShards(epochs); },
      EpochsIn(*registry_, std::string(events::Name(description_.service))), process_.metrics);
  log_->OnBroken([this] { owner_->OnLogBroken(); });
  co_return absl::OkStatus();
}

Task<absl::Status> Member::Join(sharding::ShardService& shards, std::vector<grpc::Service*> services) {
  ROOKERY_CO_ASSIGN_OR_RETURN(server_, rpc::Server::Start(config_.rpc, std::move(services)));
  telemetry::LogInfo("rpc.listening",
                     {{"address", server_->bound_address()}, {"advertised", server_->advertised_address()}});
  server_->SetServing(true);
  registry_->Announce(std::string(events::Name(description_.service)),
                      {process_.common.instance, server_->advertised_address()}, process_.fail);
  // Last: from here on shards arrive.
  const std::string topic(events::Name(config_.shards.topic));
  ROOKERY_CO_RETURN_IF_ERROR(owner_->Join(shards, [this, topic](kafka::ConsumerHandler& handler) {
    return kafka::Consumer::Create(process_.io, config_.kafka, topic, description_.consumer_group, handler,
                                   process_.metrics);
  }));
  has_joined_ = true;
  telemetry::LogInfo("member.joined",
                     {{"topic", topic}, {"shards", log_->topology().partitions(config_.shards.topic)}});
  co_return absl::OkStatus();
}

Task<void> Member::Leave() {
  server_->SetServing(false);
  co_await registry_->Withdraw();
  co_await owner_->Leave(process_.common.drain_timeout / 2);
  const absl::Status flushed = co_await log_->Flush(process_.common.drain_timeout / 4);
  if (!flushed.ok()) telemetry::LogWarn("log.flush_failed", {{"error", Message(flushed)}});
}

Task<void> Member::Close() {
  co_await server_->Stop(process_.io.get_executor(), process_.blocking, kCallGrace);
}

bool Member::IsOwnerOf(std::string_view address) const {
  const events::Home home = events::HomeWith(description_.service, log_->topology(), address);
  const sharding::Shard* const shard = owner_->Find(home.partition);
  return shard != nullptr && shard->live();
}

void Member::End() {
  server_.reset();
  if (owner_ != nullptr) owner_->End();
}

std::string Member::NotReadyReason() const {
  if (!has_joined_) return "starting";
  if (!registry_->is_announced()) return "Redis has not taken the announcement yet";
  return owner_->NotReadyReason();
}

}  // namespace rookery::member
