#pragma once

#include <cstdint>
#include <string>

#include "domain/state/session.h"
#include "domain/state/user.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class Consequences;
class LastActivities;

/// What others than its contacts learn of a session's presence: whoever reads the topic of presence events,
/// and whoever asks when the user was last there (XEP-0012). I/O thread only.
class PresenceEvents {
 public:
  PresenceEvents(const Clock& clock, Consequences& consequences, LastActivities& last_activities)
      : clock_(clock), consequences_(consequences), last_activities_(last_activities) {}

  void OnAvailable(const Session& session);
  /// Holds the record `offset`, if it is one, until the event is in the log. Where nobody of the user is
  /// available any more, this was its last activity.
  void OnUnavailable(const User& user, const Session& session, std::string status, std::int64_t offset);

 private:
  void Publish(const User& user, const Session& session, std::int64_t offset);

  const Clock& clock_;
  Consequences& consequences_;
  LastActivities& last_activities_;
};

}  // namespace rookery::session_manager
