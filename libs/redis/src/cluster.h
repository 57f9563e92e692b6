#pragma once

#include <memory>

#include "rookery/redis/client.h"

namespace rookery::redis {

std::unique_ptr<Client> MakeClusterClient(asio::io_context& io, Options options, telemetry::Metrics& metrics);

}  // namespace rookery::redis
