#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "rookery/base/clock.h"

namespace rookery::gateway {

/// How often something failed of late, by name: each count is forgotten a window after its first
/// failure. Bounded: of too many names the oldest is forgotten.
class FailureCounts {
 public:
  FailureCounts(std::chrono::milliseconds window, std::size_t max_names)
      : window_(window), max_names_(max_names) {}

  std::uint32_t Of(std::string_view name, SteadyTime now) const;
  void Add(std::string_view name, SteadyTime now);
  /// Somebody else has counted `failures`, for `left` from now on.
  void Learn(std::string_view name, std::uint32_t failures, std::chrono::milliseconds left, SteadyTime now);
  std::size_t size() const { return by_name_.size(); }

 private:
  struct Count {
    std::string name;
    std::uint32_t failures = 0;
    SteadyTime until;
  };
  /// The count of `name`, begun now where there is none or it is over.
  Count& Get(std::string_view name, SteadyTime now);

  const std::chrono::milliseconds window_;
  const std::size_t max_names_;
  std::list<Count> oldest_first_;
  std::map<std::string, std::list<Count>::iterator, std::less<>> by_name_;
};

}  // namespace rookery::gateway
