#pragma once

#include <memory>

#include "domain/roster_keeper.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace grpc {
class Service;
}

namespace rookery::roster {

/// RosterService on top of a keeper; both outlive the server.
std::unique_ptr<grpc::Service> MakeRosterRpc(asio::io_context& io, RosterKeeper& keeper,
                                             telemetry::Metrics& metrics);

}  // namespace rookery::roster
