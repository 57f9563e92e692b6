#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "rookery/disco/v1/disco_service.pb.h"

namespace rookery::sharding {

/// Of a component that has no feature yet, hence what every entity has (XEP-0030 section 3.1).
disco::v1::GetDiscoInfoResponse PlainInfo(std::string category, std::string type, std::string name);

/// What a component without entities says of itself (protos/rookery/disco/v1), as the
/// owner of its address's shard. I/O thread only.
class DiscoDesk {
 public:
  DiscoDesk(std::uint32_t shard_count, disco::v1::GetDiscoInfoResponse info,
            std::function<bool(std::uint32_t)> owns)
      : shard_count_(shard_count), info_(std::move(info)), owns_(std::move(owns)) {}

  absl::StatusOr<disco::v1::GetDiscoInfoResponse> Info(const disco::v1::GetDiscoInfoRequest& request) const;
  absl::StatusOr<disco::v1::ListDiscoItemsResponse> Items(
      const disco::v1::ListDiscoItemsRequest& request) const;

 private:
  absl::Status Check(const std::string& jid, const std::string& node) const;

  std::uint32_t shard_count_;
  disco::v1::GetDiscoInfoResponse info_;
  std::function<bool(std::uint32_t)> owns_;
};

}  // namespace rookery::sharding
