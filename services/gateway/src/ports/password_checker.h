#pragma once

#include <functional>
#include <string>

#include "rookery/base/scram.h"

namespace rookery::gateway {

/// Runs VerifyPassword where it holds nobody up. I/O thread only.
class PasswordChecker {
 public:
  virtual ~PasswordChecker() = default;
  /// False: too many are waiting already, and `done` is not called. Otherwise it is called
  /// later, on the I/O thread.
  virtual bool Check(ScramKey key, std::string password, std::function<void(bool matches)> done) = 0;
};

}  // namespace rookery::gateway
