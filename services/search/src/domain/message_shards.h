#pragma once

#include <memory>
#include <string_view>

#include "rookery/events/v1/message_event.pb.h"
#include "rookery/sharding/shard_service.h"

namespace rookery::search {

/// The shards of `messages`. There is no archive yet: a record is finished when it has been read.
class MessageShards final : public sharding::ShardService {
 public:
  std::shared_ptr<sharding::Shard> MakeShard(std::uint32_t number) override;
  std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) override;
  Parsed Parse(std::string_view value) override;
  void Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) override;
};

}  // namespace rookery::search
