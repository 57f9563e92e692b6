#pragma once

#include "absl/status/statusor.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// The roster service (protos/rookery/roster/v1): the errors are the RPCs'.
class Roster {
 public:
  virtual ~Roster() = default;
  virtual Task<absl::StatusOr<roster::v1::GetRosterResponse>> Get(roster::v1::GetRosterRequest request) = 0;
  virtual Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> SetItem(
      roster::v1::SetRosterItemRequest request) = 0;
  virtual Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> RemoveItem(
      roster::v1::RemoveRosterItemRequest request) = 0;
  virtual Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> Outbound(
      roster::v1::ProcessOutboundSubscriptionRequest request) = 0;
  virtual Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> Inbound(
      roster::v1::ProcessInboundSubscriptionRequest request) = 0;
  virtual Task<absl::StatusOr<roster::v1::DeleteUserResponse>> DeleteUser(
      roster::v1::DeleteUserRequest request) = 0;
};

}  // namespace rookery::session_manager
