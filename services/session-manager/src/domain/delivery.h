#pragma once

#include <cstdint>
#include <memory>

#include "rookery/base/clock.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// One stanza on its way to one or more sessions of one shard; shared by them.
struct Delivery {
  xmpp::Stanza stanza;
  /// The record it follows from, or -1.
  std::int64_t offset = -1;
  /// Its row in the waiting store, or 0.
  std::uint64_t stored_id = 0;
  std::int64_t received_at_ms = 0;
  std::uint64_t trace_id = 0;
  /// Each session's own address goes into `to`.
  bool to_each = false;
  /// Sessions it was routed to and that may still get it; when the last of them
  /// fails and none was reached, a message is routed anew (RFC 6121 section 8.5.3.2.1).
  std::uint32_t open_targets = 0;
  bool reached = false;
};

/// A packet of a session that its client has not acknowledged.
struct UnackedPacket {
  std::uint64_t seq = 0;
  std::int64_t offset = -1;
  std::uint64_t stored_id = 0;
  /// Null until the record or row is read again after a change of owner.
  std::shared_ptr<Delivery> delivery;
  SteadyTime since;
  /// Addressed to this session, not a carbon copy.
  bool primary = false;
  /// Keeps its record in the shard's window.
  bool holds = false;
  /// In the waiting store, under this session.
  bool stored = false;
  /// Routed anew: of a record before others that the session has been given.
  bool is_late = false;
};

}  // namespace rookery::session_manager
