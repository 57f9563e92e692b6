#pragma once

#include <memory>
#include <string>

#include "domain/core.h"

namespace rookery::session_manager {

/// Sessions without a connection (XEP-0198): puts them into the waiting store, where the next
/// owner of their shard finds them, and takes them out of it.
class SessionParker {
 public:
  explicit SessionParker(Core& core) : core_(core) {}

  /// Stores the session if that is due, then lets the gateway forget it. Repeatable.
  void Park(const std::shared_ptr<Session>& session);
  /// Its client is back.
  void Unpark(const std::shared_ptr<Session>& session);
  /// The session has ended: nothing of it stays.
  void RemoveStored(std::string owner, std::string id);

  /// A session from the store, at a change of owner, and what its client has not acknowledged.
  void Restore(Shard& shard, WaitingStore::ParkedSession parked);
  void RestorePacket(Shard& shard, WaitingStore::Shard::Packet row);

 private:
  Task<void> ParkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  Task<void> UnparkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  Task<void> RemoveStoredTask(std::string owner, std::string id);

  Core& core_;
};

}  // namespace rookery::session_manager
