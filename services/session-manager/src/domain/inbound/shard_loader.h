#pragma once

#include <memory>

#include "absl/status/status.h"
#include "domain/state/shard.h"
#include "ports/waiting_store.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class PacketRecovery;
class SessionParker;
class StoreWriter;

/// Reads what waits for sessions of the shard, page by page, each page a statement of its own, until the
/// store has answered for all of them or the shard has another owner: parked sessions, and packets in
/// the store. Every gateway has had its chance to bring its sessions before. FAILED_PRECONDITION: a newer
/// owner has claimed the shard, whose epoch is in shard->stored_epoch; nothing was read.
Task<absl::Status> LoadWaiting(WaitingStore& store, StoreWriter& writer, SessionParker& sessions,
                               PacketRecovery& packets, std::shared_ptr<Shard> shard);

}  // namespace rookery::session_manager
