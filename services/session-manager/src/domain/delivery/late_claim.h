#pragma once

#include <cstdint>
#include <string_view>

#include "domain/state/session.h"

namespace rookery::session_manager {

/// Whether a message in the offline store is that of a session that its gateway has brought when the shard
/// had been read without it: what an earlier owner gave to it was stored then, as for somebody who is away.
enum class LateClaim {
  /// None of the session's: the message is given as to anybody.
  kNone,
  /// The session's client has it, or is about to: it waits for nobody any more.
  kAcknowledged,
  /// It was given to the session and is not acknowledged: the row is the packet's stanza.
  kUnacknowledged,
};

/// `offset`: the record that the message came from. `to`: its address.
LateClaim ClaimOf(const Session& session, std::int64_t offset, std::string_view to);

}  // namespace rookery::session_manager
