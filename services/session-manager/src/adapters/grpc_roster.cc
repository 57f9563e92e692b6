#include "adapters/grpc_roster.h"

#include <grpcpp/channel.h>

#include "rookery/rpc/trace.h"
#include "rookery/rpc/unary.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {
constexpr char kService[] = "roster";
}  // namespace

GrpcRoster::GrpcRoster(asio::io_context& io, routing::Registry& registry, rpc::ClientOptions options)
    : io_(io), registry_(registry), options_(std::move(options)) {
  options_.service = kService;
}

std::shared_ptr<GrpcRoster::Stub> GrpcRoster::StubFor(std::string_view user, const std::string& except,
                                                      std::string* address) {
  std::vector<routing::Instance> instances = registry_.Instances(kService);
  if (!except.empty() && instances.size() > 1)
    std::erase_if(instances, [&](const routing::Instance& instance) { return instance.address == except; });
  const routing::Instance* chosen = routing::Choose(instances, user);
  if (chosen == nullptr) return nullptr;
  *address = chosen->address;
  auto& stub = stubs_[chosen->address];
  if (!stub) stub = roster::v1::RosterService::NewStub(rpc::MakeChannel(options_, chosen->address));
  if (stubs_.size() > 64)
    std::erase_if(stubs_, [&](const auto& entry) { return entry.first != chosen->address; });
  return stubs_[chosen->address];
}

template <typename Response, typename Request, typename Start>
Task<absl::StatusOr<Response>> GrpcRoster::CallOwner(Request request, std::uint64_t trace_id, Start start) {
  std::string address;
  absl::StatusOr<Response> response = absl::UnavailableError("no roster service is known");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::shared_ptr<Stub> stub = StubFor(request.user(), attempt == 0 ? "" : address, &address);
    if (!stub) break;
    auto begin = [&](grpc::ClientContext* context, Response* out, auto done) {
      rpc::SetTrace(*context, trace_id);
      start(*stub, context, &request, out, std::move(done));
    };
    response = co_await rpc::Call<Response>(io_, options_.default_deadline, begin);
    // A call that failed may have made its change: under the same request_id it is safe again.
    if (!absl::IsUnavailable(response.status()) && !absl::IsDeadlineExceeded(response.status())) break;
  }
  co_return response;
}

Task<absl::StatusOr<roster::v1::GetRosterResponse>> GrpcRoster::Get(roster::v1::GetRosterRequest request,
                                                                    std::uint64_t trace_id) {
  return CallOwner<roster::v1::GetRosterResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->GetRoster(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> GrpcRoster::SetItem(
    roster::v1::SetRosterItemRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::SetRosterItemResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->SetRosterItem(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> GrpcRoster::RemoveItem(
    roster::v1::RemoveRosterItemRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::RemoveRosterItemResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->RemoveRosterItem(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> GrpcRoster::Outbound(
    roster::v1::ProcessOutboundSubscriptionRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::ProcessOutboundSubscriptionResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->ProcessOutboundSubscription(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> GrpcRoster::Inbound(
    roster::v1::ProcessInboundSubscriptionRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::ProcessInboundSubscriptionResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->ProcessInboundSubscription(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::DeleteUserResponse>> GrpcRoster::DeleteUser(
    roster::v1::DeleteUserRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::DeleteUserResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->DeleteUser(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GrpcRoster::GetUserSettings(
    roster::v1::GetUserSettingsRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::GetUserSettingsResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->GetUserSettings(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> GrpcRoster::Block(
    roster::v1::BlockAddressesRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::BlockAddressesResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->BlockAddresses(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> GrpcRoster::Unblock(
    roster::v1::UnblockAddressesRequest request, std::uint64_t trace_id) {
  return CallOwner<roster::v1::UnblockAddressesResponse>(
      std::move(request), trace_id, [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->UnblockAddresses(context, in, out, std::move(done));
      });
}

}  // namespace rookery::session_manager
