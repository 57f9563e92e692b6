#pragma once

#include <memory>

#include "rookery/member/disco_desk.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace grpc {
class Service;
}

namespace rookery::member {

/// DiscoService on top of a desk; both outlive the server.
std::unique_ptr<grpc::Service> MakeDiscoRpc(asio::io_context& io, const DiscoDesk& desk,
                                            telemetry::Metrics& metrics);

}  // namespace rookery::member
