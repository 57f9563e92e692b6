#pragma once

#include <memory>

#include "rookery/runtime/task.h"
#include "rookery/sharding/disco_desk.h"
#include "rookery/telemetry/metrics.h"

namespace grpc {
class Service;
}

namespace rookery::sharding {

/// DiscoService on top of a desk; both outlive the server.
std::unique_ptr<grpc::Service> MakeDiscoRpc(asio::io_context& io, const DiscoDesk& desk,
                                            telemetry::Metrics& metrics);

}  // namespace rookery::sharding
