#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "rookery/sharding/shard_service.h"

namespace rookery::sharding {

/// Shards whose records are protobuf messages of one type, with a `fence` and, where they may be said
/// twice, an `origin`. A record is finished when it has been read: a service that does something with
/// it overrides Apply, and has the message there as Read::body.
template <typename Body>
class RecordShards : public ShardService {
 public:
  struct Read final : Record {
    Body body;
  };

  std::shared_ptr<Shard> MakeShard(std::uint32_t number, std::chrono::milliseconds horizon) override {
    return std::make_shared<Shard>(number, horizon);
  }
  std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) override {
    auto record = std::make_unique<Body>();
    *record->mutable_fence() = fence;
    return record;
  }
  Parsed Parse(std::string_view value) override {
    // The last one, with its memory, unless somebody has kept it.
    if (read_ == nullptr || read_.use_count() > 1) read_ = std::make_shared<Read>();
    Body& body = read_->body;
    if (!body.ParseFromArray(value.data(), static_cast<int>(value.size()))) return {};
    Parsed parsed;
    // One that an earlier release has written may have none.
    if constexpr (requires { body.origin(); })
      if (body.has_origin()) parsed.origin = &body.origin();
    if (body.has_fence()) parsed.fence = &body.fence();
    parsed.record = read_;
    return parsed;
  }
  void Apply(Shard& shard, std::shared_ptr<Record> record) override { shard.window.Release(record->offset); }

 private:
  std::shared_ptr<Read> read_;
};

}  // namespace rookery::sharding
