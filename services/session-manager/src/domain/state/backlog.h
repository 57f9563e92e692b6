#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "rookery/base/clock.h"

namespace rookery::session_manager {

struct PendingRecord;

/// The kind of a user's record, as far as order goes.
enum class RecordClass : std::uint8_t {
  kStanza,
  kMessage,
  /// A request to the account. It is begun in its order; only its answer takes time.
  kAccountQuery,
  /// A request of the user's own client that changes something, such as the roster.
  kOwnRequest,
  /// One that changes what every stanza to the user depends on.
  kSettingsRequest,
  kSessionEnd,
  /// The account is to go.
  kRemoval,
};

/// Between whom order is kept (RFC 6120 section 10.1): the user and `peer`, a bare JID, which is the
/// sender's or, where the user's own client has sent it, the recipient's.
struct RecordKey {
  RecordClass record_class = RecordClass::kStanza;
  std::string peer;
  bool is_outbound = false;
  /// An earlier owner may have applied it.
  bool is_recovering = false;
};

/// A user's records that cannot be finished at once, in the order of the log, and those that wait behind
/// them.
struct Backlog {
  struct Entry {
    std::uint64_t id = 0;
    RecordKey key;
    std::int64_t offset = -1;
    SteadyTime read_at = SteadyTime::min();
    /// Set while it waits for an earlier entry.
    std::shared_ptr<PendingRecord> record;
    bool begun = false;
    /// The sessions' states say that newer records may have been given before this one.
    bool is_noted = false;
    /// A change of which the roster service has not said what became of it.
    bool is_in_doubt = false;
  };
  std::deque<Entry> entries;
  /// Beyond kMaxEntries, in strict order.
  std::deque<std::shared_ptr<PendingRecord>> overflow;
  /// The size of the records that wait.
  std::size_t bytes = 0;
  /// Entries that are in doubt.
  int doubts = 0;
  std::uint64_t last_id = 0;
  bool is_draining = false;
};

}  // namespace rookery::session_manager
