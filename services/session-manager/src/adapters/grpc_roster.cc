#include "adapters/grpc_roster.h"

#include <string>
#include <utility>

#include "domain/users/user_settings.h"

namespace rookery::session_manager {

namespace {
constexpr char kService[] = "roster";

// The second instance has as long as the first one had.
static_assert(2 * routing::InstanceClient::kAloneFor < SettingsKeeper::kPatience);
}  // namespace

GrpcRoster::GrpcRoster(asio::io_context& io, const routing::Registry& registry, rpc::ClientOptions options)
    : instances_(registry, kService), stubs_(io, std::move(options)) {}

template <typename Request, typename Response>
auto GrpcRoster::CallOf(const Request& request, std::uint64_t trace_id,
                        Stubs::Method<Request, Response> method) {
  return [this, &request, trace_id, method](const std::string& address) {
    return stubs_.Call(address, kService, method, request, stubs_.default_deadline(), trace_id);
  };
}

template <typename Request, typename Response>
Task<absl::StatusOr<Response>> GrpcRoster::Ask(Request request, std::uint64_t trace_id,
                                               Stubs::Method<Request, Response> method) {
  // A call that failed may have made its change: under the same request_id it is safe again.
  const auto call = CallOf(request, trace_id, method);
  absl::StatusOr<Response> answer = co_await instances_.Ask<Response>(request.user(), call);
  co_return answer;
}

template <typename Request, typename Response>
Task<absl::StatusOr<Response>> GrpcRoster::AskEither(Request request, std::uint64_t trace_id,
                                                     Stubs::Method<Request, Response> method) {
  const auto call = CallOf(request, trace_id, method);
  absl::StatusOr<Response> answer = co_await instances_.AskEither<Response>(request.user(), call);
  co_return answer;
}

Task<absl::StatusOr<roster::v1::GetRosterResponse>> GrpcRoster::Get(roster::v1::GetRosterRequest request,
                                                                    std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::GetRoster);
}

Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> GrpcRoster::SetItem(
    roster::v1::SetRosterItemRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::SetRosterItem);
}

Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> GrpcRoster::RemoveItem(
    roster::v1::RemoveRosterItemRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::RemoveRosterItem);
}

Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> GrpcRoster::Outbound(
    roster::v1::ProcessOutboundSubscriptionRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::ProcessOutboundSubscription);
}

Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> GrpcRoster::Inbound(
    roster::v1::ProcessInboundSubscriptionRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::ProcessInboundSubscription);
}

Task<absl::StatusOr<roster::v1::DeleteUserResponse>> GrpcRoster::DeleteUser(
    roster::v1::DeleteUserRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::DeleteUser);
}

Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GrpcRoster::GetUserSettings(
    roster::v1::GetUserSettingsRequest request, std::uint64_t trace_id) {
  return AskEither(std::move(request), trace_id, &Stubs::Async::GetUserSettings);
}

Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> GrpcRoster::Block(
    roster::v1::BlockAddressesRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::BlockAddresses);
}

Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> GrpcRoster::Unblock(
    roster::v1::UnblockAddressesRequest request, std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::UnblockAddresses);
}

Task<absl::StatusOr<roster::v1::GetVcardResponse>> GrpcRoster::GetVcard(roster::v1::GetVcardRequest request,
                                                                        std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::GetVcard);
}

Task<absl::StatusOr<roster::v1::SetVcardResponse>> GrpcRoster::SetVcard(roster::v1::SetVcardRequest request,
                                                                        std::uint64_t trace_id) {
  return Ask(std::move(request), trace_id, &Stubs::Async::SetVcard);
}

}  // namespace rookery::session_manager
