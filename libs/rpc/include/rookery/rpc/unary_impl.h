#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <functional>

#include "rookery/rpc/io_port.h"

// The templates of unary.h.
namespace rookery::rpc {
namespace internal {

template <typename Response>
struct PendingCall {
  explicit PendingCall(asio::io_context& io) : port(IoPort::Of(io)), work(io.get_executor()) {}

  std::shared_ptr<IoPort> port;
  // A call under way keeps the I/O thread's run() going.
  asio::executor_work_guard<asio::io_context::executor_type> work;
  grpc::ClientContext context;
  Response response;
};

/// Finishes the call and frees itself when gRPC is done with it.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 private:
  void OnDone() override { delete this; }
};

/// Returns what a handler's exception says to the caller; logs it.
grpc::Status HandlerThrew(const std::exception_ptr& exception);

}  // namespace internal

template <typename Response, typename Start>
Task<absl::StatusOr<Response>> Call(asio::io_context& io, std::chrono::milliseconds deadline, Start start) {
  auto call = std::make_shared<internal::PendingCall<Response>>(io);
  call->context.set_deadline(std::chrono::system_clock::now() + deadline);
  auto initiate = [call, &start](auto handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.assign([call](asio::cancellation_type) { call->context.TryCancel(); });
    // gRPC copies the callback, so the handler is shared; it moves out once.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    std::function<void(grpc::Status)> done = [call, shared](grpc::Status status) {
      const bool posted = call->port->Post([call, shared, status = std::move(status)]() mutable {
        auto resume = std::move(*shared);
        asio::get_associated_cancellation_slot(resume).clear();
        std::move(resume)(std::move(status));
      });
      if (!posted) {
        IoPort::Strand(shared);
        IoPort::Strand(call);
      }
    };
    start(&call->context, &call->response, std::move(done));
  };
  const grpc::Status status =
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void(grpc::Status)>(initiate,
                                                                                       asio::use_awaitable);
  call->work.reset();
  runtime::ThrowIfCancelled(co_await asio::this_coro::cancellation_state);
  if (!status.ok()) co_return FromGrpc(status);
  co_return std::move(call->response);
}

template <typename Request, typename Response, typename Handle>
grpc::ServerUnaryReactor* Serve(asio::io_context& io, grpc::CallbackServerContext* context,
                                const Request* request, Response* response, Handle handle) {
  auto* reactor = new internal::UnaryReactor;
  const bool posted =
      IoPort::Of(io)->Post([&io, context, request, response, reactor, handle = std::move(handle)]() mutable {
        // The caller has given up already: nobody reads the answer.
        if (context->IsCancelled()) {
          reactor->Finish(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled before it began"));
          return;
        }
        auto run = [](Handle function, const Request* in) -> Task<absl::StatusOr<Response>> {
          co_return co_await function(*in);
        };
        asio::co_spawn(io, run(std::move(handle), request),
                       [reactor, response](std::exception_ptr exception, absl::StatusOr<Response> result) {
                         if (exception) {
                           reactor->Finish(internal::HandlerThrew(exception));
                         } else if (!result.ok()) {
                           reactor->Finish(ToGrpc(result.status()));
                         } else {
                           *response = *std::move(result);
                           reactor->Finish(grpc::Status::OK);
                         }
                       });
      });
  if (!posted) reactor->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the process ends"));
  return reactor;
}

}  // namespace rookery::rpc
