#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "domain/delivery_window.h"
#include "domain/duplicate_filter.h"
#include "domain/user.h"
#include "ports/waiting_store.h"

namespace rookery::session_manager {

/// What a gateway is told at the end of a session, once it may forget the session.
struct PendingEnd {
  /// Records up to here must be finished and the cursor committed beyond them.
  std::int64_t offset = -1;
  /// The offline store has what the session leaves to it, and marks for what its client has had.
  bool written = false;
  /// It has messages that are nowhere else, not in the log either.
  bool has_rows = false;
  bool told = false;
  /// Told then, written or not, unless it has rows.
  SteadyTime limit = SteadyTime::max();
  std::function<void()> tell;
};

/// A partition of `users` that the consumer group has given to us.
struct Shard {
  enum class Phase {
    kAcquiring,   // fence, stores, gateways: nothing is read yet
    kRecovering,  // reading up to our own fence
    kLive,
    kReleased,  // somebody else's: whoever still holds a pointer stops
  };

  std::uint32_t number = 0;
  Phase phase = Phase::kAcquiring;
  /// The offset of our fence; -1 before it is appended.
  std::int64_t epoch = -1;
  /// Where the last owner stopped: older records only feed the duplicate filter.
  std::int64_t committed = 0;
  std::int64_t last_commit = -1;

  DeliveryWindow window;
  DuplicateFilter duplicates;
  // Found by string_view too: absl hashes its own view type only, which is not std's here.
  std::unordered_map<std::string, std::unique_ptr<User>, StringHash, std::equal_to<>> users;

  /// Gateways that have attached their sessions for this epoch.
  std::set<std::string> attached_gateways;
  /// Actions of gateways that wait until we are live.
  std::deque<WaitingAction> waiting;

  /// Sessions that have ended and whose gateways must not forget them yet.
  std::list<std::shared_ptr<PendingEnd>> pending_ends;
  /// Owners of rows of the offline store that were marked as given: when to delete the marks.
  std::deque<std::pair<SteadyTime, std::string>> marks;
  std::unordered_map<std::string, SteadyTime> last_marks;

  bool paused = false;
  /// We were frozen and do not know yet whether we still own it.
  bool suspended = false;

  bool live() const { return phase == Phase::kLive && !suspended; }
  bool released() const { return phase == Phase::kReleased; }
};

}  // namespace rookery::session_manager
