#pragma once

#include <cstdint>

namespace rookery::telemetry {

/// What the kernel says about this process. 0 where it does not say.
struct ProcessUsage {
  double cpu_seconds = 0;
  std::int64_t resident_bytes = 0;
  std::int64_t open_descriptors = 0;
  std::int64_t max_descriptors = 0;
};
ProcessUsage ReadProcessUsage();

}  // namespace rookery::telemetry
