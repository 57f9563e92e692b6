#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "rookery/disco/v1/disco_service.pb.h"
#include "rookery/events/homes.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// Asks services what they say of themselves to those who do not ask through the log
/// (protos/rookery/disco/v1): search does so. `home`: the home of the address that the request names.
/// `trace_id` follows the stanza into their logs. Bounded in time. UNAVAILABLE, DEADLINE_EXCEEDED: nobody
/// answers in its name just now. NOT_FOUND: no such address or node.
class ServiceDisco {
 public:
  virtual ~ServiceDisco() = default;
  /// Whether a process of the service is registered.
  virtual bool IsThere(events::Service service) const = 0;
  virtual Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(events::Home home,
                                                                     disco::v1::GetDiscoInfoRequest request,
                                                                     std::uint64_t trace_id) = 0;
  virtual Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(
      events::Home home, disco::v1::ListDiscoItemsRequest request, std::uint64_t trace_id) = 0;
};

}  // namespace rookery::session_manager
