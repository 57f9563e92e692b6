#pragma once

#include <chrono>

#include "rookery/base/backoff_delays.h"

namespace rookery::session_manager {

/// Between attempts of what a store or another service has not done, and that must be done.
inline constexpr BackoffOptions kBackendRetries{std::chrono::milliseconds(100),
                                                std::chrono::milliseconds(2'000)};

}  // namespace rookery::session_manager
