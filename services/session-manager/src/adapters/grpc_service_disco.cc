#include "adapters/grpc_service_disco.h"

#include <grpcpp/channel.h>

#include <algorithm>

#include "rookery/events/partition.h"
#include "rookery/base/status.h"
#include "rookery/rpc/trace.h"
#include "rookery/rpc/unary.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr std::size_t kMaxStubs = 64;

bool IsWorthAnotherOwner(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

GrpcServiceDisco::GrpcServiceDisco(asio::io_context& io, routing::Registry& registry,
                                   rpc::ClientOptions options,
                                   std::map<std::string, std::uint32_t> shard_counts)
    : io_(io), registry_(registry), options_(std::move(options)), shard_counts_(std::move(shard_counts)) {}

Task<absl::Status> GrpcServiceDisco::ReadOwners(std::string service) {
  auto owners = co_await registry_.ReadShards(service);
  if (!owners.ok()) co_return owners.status();
  owners_[service] = *std::move(owners);
  co_return absl::OkStatus();
}

std::string GrpcServiceDisco::OwnerOf(const std::string& service, std::uint32_t shard) const {
  const auto owners = owners_.find(service);
  if (owners == owners_.end()) return {};
  const auto owner =
      std::find_if(owners->second.begin(), owners->second.end(),
                   [shard](const routing::OwnerEntry& candidate) { return candidate.shard == shard; });
  return owner == owners->second.end() ? std::string() : owner->address;
}

std::shared_ptr<GrpcServiceDisco::Stub> GrpcServiceDisco::StubFor(const std::string& service,
                                                                  const std::string& address) {
  auto& stub = stubs_[{service, address}];
  if (!stub) {
    rpc::ClientOptions options = options_;
    options.service = service;
    stub = disco::v1::DiscoService::NewStub(rpc::MakeChannel(options, address));
  }
  std::shared_ptr<Stub> chosen = stub;
  if (stubs_.size() > kMaxStubs)
    std::erase_if(stubs_, [&](const auto& entry) { return entry.first.second != address; });
  return chosen;
}

template <typename Response, typename Request, typename Start>
Task<absl::StatusOr<Response>> GrpcServiceDisco::CallOwner(std::string service, Request request,
                                                           std::uint64_t trace_id, Start start) {
  const auto deadline = std::chrono::steady_clock::now() + options_.default_deadline;
  const std::uint32_t shard = events::PartitionOf(request.jid(), shard_counts_.at(service));
  absl::StatusOr<Response> response = absl::UnavailableError("nobody owns the shard");
  std::string asked;
  // What is known from an earlier call, then what Redis says now.
  for (const bool read_again : {false, true}) {
    if (read_again) {
      const absl::Status read = co_await ReadOwners(service);
      // Redis away: the answer so far says as much as there is to say.
      if (!read.ok()) break;
    }
    const std::string address = OwnerOf(service, shard);
    if (address.empty() || address == asked) continue;
    asked = address;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return absl::DeadlineExceededError("the service does not answer");
    const std::shared_ptr<Stub> stub = StubFor(service, address);
    auto begin = [&](grpc::ClientContext* context, Response* out, auto done) {
      rpc::SetTrace(*context, trace_id);
      start(*stub, context, &request, out, std::move(done));
    };
    response = co_await rpc::Call<Response>(io_, left, begin);
    if (response.ok() || !IsWorthAnotherOwner(response.status())) co_return response;
  }
  // Shards on the move: somebody will own it soon.
  if (absl::IsFailedPrecondition(response.status()))
    co_return absl::UnavailableError("nobody owns the shard");
  co_return response;
}

Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> GrpcServiceDisco::Info(
    std::string service, disco::v1::GetDiscoInfoRequest request, std::uint64_t trace_id) {
  return CallOwner<disco::v1::GetDiscoInfoResponse>(
      std::move(service), std::move(request), trace_id,
      [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->GetDiscoInfo(context, in, out, std::move(done));
      });
}

Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> GrpcServiceDisco::Items(
    std::string service, disco::v1::ListDiscoItemsRequest request, std::uint64_t trace_id) {
  return CallOwner<disco::v1::ListDiscoItemsResponse>(
      std::move(service), std::move(request), trace_id,
      [](Stub& stub, auto* context, const auto* in, auto* out, auto done) {
        stub.async()->ListDiscoItems(context, in, out, std::move(done));
      });
}

}  // namespace rookery::session_manager
