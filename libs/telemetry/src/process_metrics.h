#pragma once

#include <cstdint>

namespace rookery::telemetry {

/// The kernel's figures for this process. 0 where it does not say.
struct ProcessUsage {
  double cpu_seconds = 0;
  std::int64_t resident_bytes = 0;
  std::int64_t open_descriptors = 0;
  std::int64_t max_descriptors = 0;
};
/// Unix time; constant in a process's life, but for changes of the machine's clock before it is first asked
/// for.
double ProcessStartSeconds();
ProcessUsage ReadProcessUsage();

}  // namespace rookery::telemetry
