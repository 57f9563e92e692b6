#pragma once

#include <memory>

#include "rookery/base/clock.h"

namespace rookery::session_manager {

struct Session;
struct Shard;
class Gateways;
class LiveSessions;
class SessionEnds;
class SessionParker;
class SessionResumer;
class SessionTable;
struct Settings;

/// What becomes due for the sessions of a shard: as it goes live, and as time passes. I/O thread only.
class DueSessions {
 public:
  DueSessions(const Settings& settings, const Clock& clock, const SessionTable& table,
              const Gateways& gateways, LiveSessions& live, SessionParker& parker, SessionEnds& ends,
              SessionResumer& resumer)
      : settings_(settings),
        clock_(clock),
        table_(table),
        gateways_(gateways),
        live_(live),
        parker_(parker),
        ends_(ends),
        resumer_(resumer) {}

  /// The shard has gone live, for the first time or once more: parks, ends and puts on record what could not
  /// be before.
  void OnShardLive(Shard& shard);
  /// Ends the sessions that have waited for too long, and answers the attempts to resume that have. The shard
  /// is live.
  void Sweep(Shard& shard);

 private:
  void OnDue(const std::shared_ptr<Session>& session);

  const Settings& settings_;
  const Clock& clock_;
  const SessionTable& table_;
  const Gateways& gateways_;
  LiveSessions& live_;
  SessionParker& parker_;
  SessionEnds& ends_;
  SessionResumer& resumer_;
};

}  // namespace rookery::session_manager
