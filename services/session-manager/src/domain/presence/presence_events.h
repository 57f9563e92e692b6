#pragma once

#include <cstdint>
#include <string>

#include "domain/state/session.h"
#include "domain/state/user.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class AccountStore;
class Consequences;

/// What others than its contacts learn of a session's presence: whoever reads the topic of presence events,
/// and whoever asks when the user was last there (XEP-0012). I/O thread only.
class PresenceEvents {
 public:
  PresenceEvents(const Clock& clock, runtime::TaskGroup& tasks, AccountStore& accounts,
                 Consequences& consequences)
      : clock_(clock), tasks_(tasks), accounts_(accounts), consequences_(consequences) {}

  void OnAvailable(const Session& session);
  /// Holds the record `offset`, if it is one, until the event is in the log. Where nobody of the user is
  /// available any more, this was its last activity.
  void OnUnavailable(const User& user, const Session& session, std::string status, std::int64_t offset);

 private:
  void Publish(const User& user, const Session& session, std::int64_t offset);
  Task<void> RememberLastActivity(std::string bare, std::uint64_t generation, std::string status);

  const Clock& clock_;
  runtime::TaskGroup& tasks_;
  AccountStore& accounts_;
  Consequences& consequences_;
};

}  // namespace rookery::session_manager
