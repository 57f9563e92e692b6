#pragma once

#include <string>
#include <vector>

namespace rookery::session_manager {

/// Which gateways there are.
class Membership {
 public:
  virtual ~Membership() = default;
  /// Instances of gateways as Redis knows them.
  virtual std::vector<std::string> Gateways() const = 0;
  /// False while there may be one that Gateways() does not show yet, since this process has only
  /// just read Redis for the first time, or not yet.
  virtual bool KnowsAllGateways() const = 0;
};

}  // namespace rookery::session_manager
