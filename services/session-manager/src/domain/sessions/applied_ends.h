#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "domain/state/session.h"
#include "domain/state/shard.h"
#include "rookery/base/clock.h"
#include "rookery/events/v1/user_record.pb.h"

namespace rookery::sharding {
class ShardOwner;
}

namespace rookery::session_manager {

class DirectoryWriter;
class Hooks;
class LiveSessions;
class PresenceTracker;
class SessionRemoval;
class SessionTable;

/// The ends of sessions where they take effect: where the log has them (README.md, SL7 to SL10). I/O thread
/// only.
class AppliedEnds {
 public:
  AppliedEnds(const Clock& clock, const sharding::ShardOwner& owner, const SessionTable& table,
              const Hooks& hooks, LiveSessions& live, DirectoryWriter& directory, PresenceTracker& presence,
              SessionRemoval& removal)
      : clock_(clock),
        owner_(owner),
        table_(table),
        hooks_(hooks),
        live_(live),
        directory_(directory),
        presence_(presence),
        removal_(removal) {}

  /// The record of an end has been read: applies it. It is not finished before all that follows
  /// from the end is in the log or the store.
  void OnEndRecord(Shard& shard, const PendingRecord& pending);
  /// One that an earlier owner has finished: what it ended is not to live again.
  void OnFinishedRecord(Shard& shard, const PendingRecord& pending);
  /// Of a session that leaves nothing which the log would have to know.
  void EndAtOnce(const std::shared_ptr<Session>& session);
  /// Of the client's stanzas those that need not be sent again when the session is over.
  std::uint64_t CountAtEnd(const Session& session) const;

 private:
  std::optional<std::uint64_t> CountOf(const Session* session, const events::v1::SessionEnded& ended) const;

  const Clock& clock_;
  const sharding::ShardOwner& owner_;
  const SessionTable& table_;
  const Hooks& hooks_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  PresenceTracker& presence_;
  SessionRemoval& removal_;
};

}  // namespace rookery::session_manager
