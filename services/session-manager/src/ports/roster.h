#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// The roster service (protos/rookery/roster/v1): the errors are the RPCs'. `trace_id` is that of the
/// stanza that made us ask, or 0.
class Roster {
 public:
  virtual ~Roster() = default;
  virtual Task<absl::StatusOr<roster::v1::GetRosterResponse>> Get(roster::v1::GetRosterRequest request,
                                                                  std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> SetItem(
      roster::v1::SetRosterItemRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> RemoveItem(
      roster::v1::RemoveRosterItemRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> Outbound(
      roster::v1::ProcessOutboundSubscriptionRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> Inbound(
      roster::v1::ProcessInboundSubscriptionRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::DeleteUserResponse>> DeleteUser(
      roster::v1::DeleteUserRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GetUserSettings(
      roster::v1::GetUserSettingsRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> Block(
      roster::v1::BlockAddressesRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> Unblock(
      roster::v1::UnblockAddressesRequest request, std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::GetVcardResponse>> GetVcard(roster::v1::GetVcardRequest request,
                                                                      std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<roster::v1::SetVcardResponse>> SetVcard(roster::v1::SetVcardRequest request,
                                                                      std::uint64_t trace_id) = 0;
};

}  // namespace rookery::session_manager
