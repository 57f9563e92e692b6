#include "domain/room_shards.h"

namespace rookery::muc {

namespace {

constexpr std::chrono::minutes kHorizon{2};

struct Read final : sharding::Record {
  events::v1::RoomRecord body;
};

}  // namespace

std::shared_ptr<sharding::Shard> RoomShards::MakeShard(std::uint32_t number) {
  return std::make_shared<sharding::Shard>(number, kHorizon);
}

std::unique_ptr<google::protobuf::MessageLite> RoomShards::MakeFence(const events::v1::Fence& fence) {
  auto record = std::make_unique<events::v1::RoomRecord>();
  *record->mutable_fence() = fence;
  return record;
}

sharding::ShardService::Parsed RoomShards::Parse(std::string_view value) {
  auto read = std::make_shared<Read>();
  if (!read->body.ParseFromArray(value.data(), static_cast<int>(value.size()))) return {};
  Parsed parsed;
  parsed.origin = &read->body.origin();
  if (read->body.has_fence()) parsed.fence = &read->body.fence();
  parsed.record = std::move(read);
  return parsed;
}

void RoomShards::Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) {
  shard.window.Release(record->offset);
}

}  // namespace rookery::muc
