#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/disco/v1/disco_service.pb.h"

namespace rookery::member {

/// Makes the answer of a component that has no feature yet, hence what every entity has (XEP-0030 section
/// 3.1).
disco::v1::GetDiscoInfoResponse PlainInfo(std::string category, std::string type, std::string name);

/// Answers what a component without entities says of itself (protos/rookery/disco/v1), as the owner of its
/// address's shard. I/O thread only.
class DiscoDesk {
 public:
  /// `is_owner`: whether this process owns the shard of an address now, and is live in it.
  DiscoDesk(disco::v1::GetDiscoInfoResponse info, std::function<bool(std::string_view address)> is_owner)
      : info_(std::move(info)), is_owner_(std::move(is_owner)) {}

  absl::StatusOr<disco::v1::GetDiscoInfoResponse> Info(const disco::v1::GetDiscoInfoRequest& request) const;
  absl::StatusOr<disco::v1::ListDiscoItemsResponse> Items(
      const disco::v1::ListDiscoItemsRequest& request) const;

 private:
  absl::Status Check(const std::string& jid, const std::string& node) const;

  disco::v1::GetDiscoInfoResponse info_;
  std::function<bool(std::string_view address)> is_owner_;
};

}  // namespace rookery::member
