#pragma once

#include <memory>

#include "domain/core.h"

namespace rookery::session_manager {

/// Reads what waits for sessions of the shard, page by page, each page a statement of its own, until the
/// store has answered for all of them or the shard has another owner: parked sessions, and packets in
/// the store. Every gateway has had its chance to bring its sessions before.
Task<void> LoadWaiting(Core& core, std::shared_ptr<Shard> shard);

}  // namespace rookery::session_manager
