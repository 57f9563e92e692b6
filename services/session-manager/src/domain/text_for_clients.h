#pragma once

#include <string>

#include "absl/status/status.h"
#include "rookery/base/status.h"

namespace rookery::session_manager {

/// What a client may read of a status: why its own request cannot be met. Nothing of what has failed behind
/// it, which names processes, addresses and statements.
inline std::string TextForClients(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
      return std::string(Message(status));
    default:
      return {};
  }
}

}  // namespace rookery::session_manager
