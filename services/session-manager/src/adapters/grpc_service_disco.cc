#include "adapters/grpc_service_disco.h"

#include <chrono>
#include <string>
#include <utility>

namespace rookery::session_manager {

GrpcServiceDisco::GrpcServiceDisco(asio::io_context& io, routing::Registry& registry,
                                   rpc::ClientOptions options)
    : registry_(registry), owners_(registry), stubs_(io, std::move(options)) {}

template <typename Request, typename Response>
Task<absl::StatusOr<Response>> GrpcServiceDisco::Ask(events::Home home, Request request,
                                                     std::uint64_t trace_id,
                                                     Stubs::Method<Request, Response> method) {
  const auto call = [&](const std::string& address, std::chrono::milliseconds limit) {
    return stubs_.Call(address, events::Name(home.service), method, request, limit, trace_id);
  };
  absl::StatusOr<Response> answer =
      co_await owners_.Ask<Response>(home, Deadline::After(stubs_.default_deadline()), call);
  co_return answer;
}

Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> GrpcServiceDisco::Info(
    events::Home home, disco::v1::GetDiscoInfoRequest request, std::uint64_t trace_id) {
  return Ask(home, std::move(request), trace_id, &Stubs::Async::GetDiscoInfo);
}

Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> GrpcServiceDisco::Items(
    events::Home home, disco::v1::ListDiscoItemsRequest request, std::uint64_t trace_id) {
  return Ask(home, std::move(request), trace_id, &Stubs::Async::ListDiscoItems);
}

}  // namespace rookery::session_manager
