#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <string>

// The id of a stanza goes along with the calls that it leads to, so that it is found in the logs
// of every service. Includes gRPC: as unary.h.
namespace rookery::rpc {

/// Nothing when `trace_id` is 0.
void SetTrace(grpc::ClientContext& context, std::uint64_t trace_id);
/// As the caller has sent it, cut to a length that does not flood a log; empty without one.
std::string TraceOf(const grpc::CallbackServerContext& context);

}  // namespace rookery::rpc
