#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "ports/roster.h"
#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/server.h"

namespace rookery::session_manager {

/// Calls the roster instance that serves the user (rendezvous hashing), and once more
/// another one when the first does not answer.
class GrpcRoster final : public Roster {
 public:
  GrpcRoster(asio::io_context& io, routing::Registry& registry, rpc::ClientOptions options);

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

 private:
  using Stub = roster::v1::RosterService::Stub;
  template <typename Response, typename Request, typename Start>
  Task<absl::StatusOr<Response>> CallOwner(Request request, std::uint64_t trace_id, Start start);
  /// nullptr when no instance (but `except`) is known.
  std::shared_ptr<Stub> StubFor(std::string_view user, const std::string& except, std::string* address);

  asio::io_context& io_;
  routing::Registry& registry_;
  rpc::ClientOptions options_;
  std::map<std::string, std::shared_ptr<Stub>> stubs_;
};

}  // namespace rookery::session_manager
