#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/rpc/trace.h"
#include "rookery/rpc/unary.h"
#include "rookery/telemetry/log.h"
#include "rookery/telemetry/metrics.h"

// Includes gRPC: as unary.h.
namespace rookery::rpc {

/// Does what every unary service of ours does around its handlers: counts calls and failures, and says at
/// level debug what was answered, with the caller's trace. One of these in a process, since its counters have
/// names of their own.
class Answers {
 public:
  Answers(asio::io_context& io, telemetry::Metrics& metrics)
      : io_(io),
        calls_(metrics.Counter("calls_total", "Calls that were answered")),
        failures_(metrics.Counter("calls_failed_total", "Calls that ended with an error")) {}

  /// As rpc::Serve; `handle(const Request&)` may also give the answer at once, without a Task.
  template <typename Request, typename Response, typename Handle>
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, const Request* request,
                                  Response* response, Handle handle) {
    std::string trace;
    if (telemetry::IsLogged(telemetry::Level::kDebug)) trace = TraceOf(*context);
    auto counted = [this, handle = std::move(handle),
                    trace = std::move(trace)](const Request& in) -> Task<absl::StatusOr<Response>> {
      calls_.Increment();
      absl::StatusOr<Response> result;
      if constexpr (std::is_same_v<std::invoke_result_t<const Handle&, const Request&>,
                                   absl::StatusOr<Response>>) {
        result = handle(in);
      } else {
        result = co_await handle(in);
      }
      if (!result.ok()) failures_.Increment();
      if (telemetry::IsLogged(telemetry::Level::kDebug)) LogAnswer(in, trace, result.status());
      co_return result;
    };
    return rpc::Serve(io_, context, request, response, std::move(counted));
  }

 private:
  template <typename Request>
  static void LogAnswer(const Request& in, const std::string& trace, const absl::Status& status) {
    std::string user;
    if constexpr (requires { in.user(); }) user = telemetry::HashedJid(in.user());
    telemetry::LogDebug("call.answered", {{"trace_id", trace},
                                          {"call", Request::descriptor()->name()},
                                          {"user", user},
                                          {"status", absl::StatusCodeToString(status.code())}});
  }

  asio::io_context& io_;
  prometheus::Counter& calls_;
  prometheus::Counter& failures_;
};

}  // namespace rookery::rpc
