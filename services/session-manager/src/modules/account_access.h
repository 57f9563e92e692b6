#pragma once

#include "domain/features/hooks.h"
#include "ports/roster.h"

namespace rookery::session_manager {

/// Whether the asker of a request to an account may learn that the account exists: its own
/// user, and those subscribed to its presence. Within a turn of the user.
Task<absl::StatusOr<bool>> MaySee(Roster& rosters, const IqRequest& request);

}  // namespace rookery::session_manager
