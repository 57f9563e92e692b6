#include "rookery/rpc/trace.h"

#include <algorithm>

#include "rookery/telemetry/log.h"

namespace rookery::rpc {
namespace {

constexpr char kTraceMetadata[] = "rookery-trace-id";
constexpr std::size_t kMaxTraceBytes = 32;

}  // namespace

void SetTrace(grpc::ClientContext& context, std::uint64_t trace_id) {
  if (trace_id != 0) context.AddMetadata(kTraceMetadata, telemetry::TraceId(trace_id));
}

std::string TraceOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kTraceMetadata);
  if (found == context.client_metadata().end()) return {};
  return {found->second.data(), std::min(found->second.size(), kMaxTraceBytes)};
}

}  // namespace rookery::rpc
