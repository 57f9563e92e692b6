#pragma once

#include <cstdint>
#include <memory>

#include "domain/state/session.h"
#include "domain/state/user.h"

namespace rookery::session_manager {

/// The origin that all that follows from one cause carries: a client's stanza, a record of the log, or the
/// owner's own decision. Copied by value into what finishes later.
struct Cause {
  /// Set for a client's stanza: its session and number.
  std::shared_ptr<Session> session;
  std::uint64_t count = 0;
  /// Set (>= 0) for a record of our shard, which is not finished.
  std::int64_t offset = -1;
  /// Set for what follows from the end of a session: open until the log has it.
  std::shared_ptr<EndWrites> end;
  std::uint64_t trace_id = 0;
  /// Set for a stanza of a user: which account of the name it is. 0: not known.
  std::uint64_t account_generation = 0;
  /// The last number given to a record that follows (LogOrigin.part, ClientOrigin.part): `part_numbers.h` has
  /// what begins where.
  std::uint32_t parts = 0;
};

/// The cause of what follows from a record of our shard. Only until that record is finished.
inline Cause CauseOf(const PendingRecord& pending) {
  Cause cause;
  cause.offset = pending.offset;
  cause.trace_id = pending.record.trace_id();
  return cause;
}

}  // namespace rookery::session_manager
