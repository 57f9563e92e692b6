#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/subscription_state.h"
#include "rookery/runtime/task.h"

namespace rookery::roster {

/// One contact of one user as it is stored.
struct Contact {
  std::string jid;
  std::string name;
  std::vector<std::string> groups;
  SubscriptionState state;
  /// The user's clients see an item; false for a mere request received.
  bool listed = false;
  /// The request as it was received (a serialised stanza), while pending_in.
  std::string request;
  /// Rises with each change; 0: not stored yet.
  std::int64_t revision = 0;
};

struct StoredRoster {
  std::uint64_t version = 0;
  std::vector<Contact> contacts;
};

/// Rosters. Every method: UNAVAILABLE or DEADLINE_EXCEEDED when the store is away.
class RosterStore {
 public:
  virtual ~RosterStore() = default;
  virtual Task<absl::StatusOr<StoredRoster>> Load(std::string owner) = 0;
  virtual Task<absl::StatusOr<std::optional<Contact>>> Find(std::string owner, std::string jid) = 0;
  /// The version, and those contacts that have asked to subscribe.
  virtual Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) = 0;
  struct Counts {
    std::int64_t listed = 0;
    std::int64_t pending = 0;
  };
  virtual Task<absl::StatusOr<Counts>> Count(std::string owner) = 0;
  /// Stores the contact if its revision is still the stored one. The answer is the roster's
  /// version, the next one if clients see the change. Versions begin at the time of the
  /// first change, not at 1: a client's copy of a roster that was deleted must not pass
  /// for one of the roster that came after it. ABORTED: somebody was quicker; read it again.
  virtual Task<absl::StatusOr<std::uint64_t>> Save(std::string owner, Contact contact, bool is_visible) = 0;
  virtual Task<absl::StatusOr<std::uint64_t>> Remove(std::string owner, std::string jid,
                                                     std::int64_t revision, bool is_visible) = 0;
  virtual Task<absl::Status> RemoveAll(std::string owner) = 0;
};

}  // namespace rookery::roster
