#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "domain/state/delivery.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class DeliveryStates;
class Shards;
struct Session;
struct SessionManagerMetrics;
struct Settings;
struct Shard;
struct User;

/// The rows that the waiting store has of sessions' packets (README.md, P3 and P4): those that were not
/// acknowledged in time, and whether another client of the user has the message. I/O thread only.
class PacketRows {
 public:
  PacketRows(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
             DeliveryStates& states)
      : settings_(settings), clock_(clock), metrics_(metrics), states_(states) {}

  /// Moves what was not acknowledged for `shards.window-time` to the store, so that one silent client does
  /// not hold its shard's cursor. What the writer has no room for stays where it is (S7). Costs what is due.
  void StoreOld(Shard& shard);
  /// All that the session's client has not acknowledged and that is not on its way there. As many as the
  /// writer has room for: the others keep their records, as they would in it. False: some are left.
  bool Store(const std::shared_ptr<Session>& session);

  /// A message that a client of the user has.
  struct Reached {
    std::shared_ptr<Delivery> delivery;
    /// Its record is held for it: here until the store knows.
    bool holds = false;
  };
  /// Says so in the rows of other sessions' packets: what they leave needs no way to anybody. Costs what the
  /// user's sessions have unacknowledged, so only call it for those that may have rows.
  void TellReached(User& user, std::vector<Reached> reached);

 private:
  void OnStored(const std::shared_ptr<Session>& session, std::uint64_t up_to, std::size_t count,
                bool is_stored);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  DeliveryStates& states_;
};

}  // namespace rookery::session_manager
