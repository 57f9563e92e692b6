#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"

// Unary calls as coroutines on the I/O thread. Includes gRPC: only adapters/ and rpc/
// folders of services include this.
namespace rookery::rpc {

absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

/// Client: `co_await Call<GetRosterResponse>(io, deadline, [&](auto* context, auto* response, auto done) {
///   stub->async()->GetRoster(context, &request, response, std::move(done)); })`.
/// The request must live until the call ends. DEADLINE_EXCEEDED, UNAVAILABLE, or the
/// server's status. Cancelling the coroutine cancels the call.
template <typename Response, typename Start>
Task<absl::StatusOr<Response>> Call(asio::io_context& io, std::chrono::milliseconds deadline, Start start);

/// Server: runs `handle(const Request&) -> Task<absl::StatusOr<Response>>` on the I/O
/// thread and finishes the reactor with what it returns (an exception is logged and
/// becomes INTERNAL). A handler that has begun runs to its end, also when the caller has
/// given up; the request lives as long. The I/O thread must turn until Server::Shutdown
/// has returned.
///   grpc::ServerUnaryReactor* GetRoster(context, request, response) override {
///     return Serve(io_, context, request, response, [this](const auto& r) { return store_.GetRoster(r); });
///     }
template <typename Request, typename Response, typename Handle>
grpc::ServerUnaryReactor* Serve(asio::io_context& io, grpc::CallbackServerContext* context,
                                const Request* request, Response* response, Handle handle);

}  // namespace rookery::rpc

#include "rookery/rpc/unary_impl.h"
