#pragma once

#include "absl/status/status.h"

namespace rookery::session_manager {

/// Whether the waiting store may take later what it has failed to do now.
inline bool IsTemporary(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsAborted(status);
}

}  // namespace rookery::session_manager
