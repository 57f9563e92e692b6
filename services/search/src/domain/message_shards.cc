#include "domain/message_shards.h"

namespace rookery::search {

namespace {

constexpr std::chrono::minutes kHorizon{2};

struct Read final : sharding::Record {
  events::v1::MessageEvent body;
};

}  // namespace

std::shared_ptr<sharding::Shard> MessageShards::MakeShard(std::uint32_t number) {
  return std::make_shared<sharding::Shard>(number, kHorizon);
}

std::unique_ptr<google::protobuf::MessageLite> MessageShards::MakeFence(const events::v1::Fence& fence) {
  auto record = std::make_unique<events::v1::MessageEvent>();
  *record->mutable_fence() = fence;
  return record;
}

sharding::ShardService::Parsed MessageShards::Parse(std::string_view value) {
  auto read = std::make_shared<Read>();
  if (!read->body.ParseFromArray(value.data(), static_cast<int>(value.size()))) return {};
  Parsed parsed;
  // Applied once by the record of `users` that it follows from, which is the archive's to know.
  if (read->body.has_fence()) parsed.fence = &read->body.fence();
  parsed.record = std::move(read);
  return parsed;
}

void MessageShards::Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) {
  shard.window.Release(record->offset);
}

}  // namespace rookery::search
