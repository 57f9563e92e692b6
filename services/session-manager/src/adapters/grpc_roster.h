#pragma once

#include <cstdint>

#include "ports/roster.h"
#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/routing/instance_client.h"
#include "rookery/rpc/stub_cache.h"

namespace rookery::session_manager {

/// Asks the roster instance that serves the user.
class GrpcRoster final : public Roster {
 public:
  GrpcRoster(asio::io_context& io, const routing::Registry& registry, rpc::ClientOptions options);

  Task<absl::StatusOr<roster::v1::GetRosterResponse>> Get(roster::v1::GetRosterRequest request,
                                                          std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> SetItem(roster::v1::SetRosterItemRequest request,
                                                                  std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> RemoveItem(
      roster::v1::RemoveRosterItemRequest request, std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> Outbound(
      roster::v1::ProcessOutboundSubscriptionRequest request, std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> Inbound(
      roster::v1::ProcessInboundSubscriptionRequest request, std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::DeleteUserResponse>> DeleteUser(roster::v1::DeleteUserRequest request,
                                                                  std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GetUserSettings(
      roster::v1::GetUserSettingsRequest request, std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> Block(roster::v1::BlockAddressesRequest request,
                                                                 std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> Unblock(
      roster::v1::UnblockAddressesRequest request, std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::GetVcardResponse>> GetVcard(roster::v1::GetVcardRequest request,
                                                              std::uint64_t trace_id) override;
  Task<absl::StatusOr<roster::v1::SetVcardResponse>> SetVcard(roster::v1::SetVcardRequest request,
                                                              std::uint64_t trace_id) override;

 private:
  using Stubs = rpc::StubCache<roster::v1::RosterService>;

  /// How an instance is called; `request` must outlive it.
  template <typename Request, typename Response>
  auto CallOf(const Request& request, std::uint64_t trace_id, Stubs::Method<Request, Response> method);
  template <typename Request, typename Response>
  Task<absl::StatusOr<Response>> Ask(Request request, std::uint64_t trace_id,
                                     Stubs::Method<Request, Response> method);
  /// For a question that changes nothing and that nobody waits for long.
  template <typename Request, typename Response>
  Task<absl::StatusOr<Response>> AskEither(Request request, std::uint64_t trace_id,
                                           Stubs::Method<Request, Response> method);

  routing::InstanceClient instances_;
  Stubs stubs_;
};

}  // namespace rookery::session_manager
