#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "domain/state/session.h"
#include "ports/waiting_store.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Addresses;
class DeliveryStates;
class Shards;

/// The rows of sessions that have ended (README.md, E1 to E3). I/O thread only.
class SessionRows {
 public:
  SessionRows(const Addresses& addresses, const Shards& shards, DeliveryStates& states)
      : addresses_(addresses), shards_(shards), states_(states) {}

  /// The session has ended: removes its rows from the waiting store, once what they keep is safe
  /// elsewhere: all, or packets up to `up_to_seq`. AfterEndWrites waits for that too.
  void Remove(Session& session, std::optional<std::uint64_t> up_to_seq = {});

 private:
  void StartRemoval(const WaitingStore::SessionKey& key, std::optional<std::uint64_t> up_to_seq,
                    const std::shared_ptr<EndWrites>& ends);

  const Addresses& addresses_;
  const Shards& shards_;
  DeliveryStates& states_;
};

/// Calls `then` when the store and the log have everything that follows from the session's end; at once if
/// that is nothing.
void AfterEndWrites(const Session& session, std::function<void()> then);
/// Returns when AfterEndWrites would call `then`.
Task<void> AwaitEndWrites(asio::any_io_executor executor, std::shared_ptr<Session> session);

}  // namespace rookery::session_manager
