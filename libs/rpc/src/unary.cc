#include "rookery/rpc/unary.h"

#include <string>

#include "rookery/telemetry/log.h"

namespace rookery::rpc {

absl::Status FromGrpc(const grpc::Status& status) {
  // Both follow google.rpc.Code. A peer may send any number.
  const int code = status.error_code();
  if (code < 0 || code > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return absl::UnknownError(status.error_message());
  }
  return absl::Status(static_cast<absl::StatusCode>(code), status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

grpc::Status internal::HandlerThrew(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    telemetry::LogError("rpc.handler_failed", {{"error", e.what()}});
  } catch (...) {
    telemetry::LogError("rpc.handler_failed");
  }
  // The details of a failure inside are for our log, not for the caller.
  return grpc::Status(grpc::StatusCode::INTERNAL, "internal error");
}

}  // namespace rookery::rpc
