#pragma once

#include "domain/state/session.h"
#include "rookery/base/clock.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::session_manager {

/// A session as the next owner of its shard takes it over, for the waiting store. The gateway
/// makes the same of what it knows.
session::v1::SessionAttach SnapshotOf(const Session& session);

/// Takes over what a snapshot says. Packets get their stanzas where the snapshot has them; the
/// others are read again, from the log or the store. The phase is the caller's to set.
void Adopt(Session& session, const session::v1::SessionAttach& snapshot, SteadyTime now);

StreamManagement ManagementOf(const session::v1::SessionAttach& snapshot);

/// Empty where it cannot be read. The one of two snapshots with more `resumptions` is the newer.
session::v1::SessionManagerState StateOf(const session::v1::SessionAttach& snapshot);

}  // namespace rookery::session_manager
