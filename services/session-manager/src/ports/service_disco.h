#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "rookery/disco/v1/disco_service.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// What muc and search say of themselves (protos/rookery/disco/v1). `service`: muc or
/// search. `trace_id` follows the stanza into their logs. Bounded in time. UNAVAILABLE, DEADLINE_EXCEEDED:
/// nobody answers in its name just now. NOT_FOUND: no such address or node.
class ServiceDisco {
 public:
  virtual ~ServiceDisco() = default;
  virtual Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(std::string service,
                                                                     disco::v1::GetDiscoInfoRequest request,
                                                                     std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(
      std::string service, disco::v1::ListDiscoItemsRequest request, std::uint64_t trace_id) = 0;
};

}  // namespace rookery::session_manager
