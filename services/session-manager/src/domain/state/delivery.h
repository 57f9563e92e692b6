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
  /// The record that caused this stanza but would produce another one if it were read again (a roster push).
  /// Packets hold it in the window; -1: none.
  std::int64_t follows = -1;
  /// Its name in the offline store, or 0; it may be on its way there.
  std::uint64_t stored_id = 0;
  /// It is there for certain.
  bool has_row = false;
  /// Its record is not finished, so the window can hold it.
  bool is_logged = true;
  std::int64_t received_at_ms = 0;
  std::uint64_t trace_id = 0;
  /// It is the answer of the user's account to the session's own client.
  bool is_answer = false;
  /// Each session's own address goes into `to`.
  bool to_each = false;
  /// Sessions it was routed to and that may still get it; when the last of them
  /// fails and none was reached, a message is routed anew (RFC 6121 section 8.5.3.2.1).
  std::uint32_t open_targets = 0;
  bool reached = false;
  /// The store may have rows of it that say that no client has it yet.
  bool may_have_rows = false;

  /// The memory that it takes: every field of the stanza, and itself.
  std::size_t bytes() const {
    if (bytes_ == 0) bytes_ = stanza.ByteSizeLong() + kOverhead;
    return bytes_;
  }

 private:
  /// This object, the stanza's, and a packet's place in its session's queue.
  static constexpr std::size_t kOverhead = 400;
  mutable std::size_t bytes_ = 0;
};

/// A packet of a session that its client has not acknowledged.
struct UnackedPacket {
  std::uint64_t seq = 0;
  std::int64_t offset = -1;
  /// Its name in the offline store, or 0.
  std::uint64_t stored_id = 0;
  /// Null until the record or row is read again after a change of owner.
  std::shared_ptr<Delivery> delivery;
  SteadyTime since;
  /// Addressed to this session, not a carbon copy.
  bool primary = false;
  /// The record that it keeps in the shard's window, or -1.
  std::int64_t held = -1;
  /// The offline store has it for certain.
  bool has_row = false;
  /// The writer was asked to put it into the waiting store, under this session.
  bool is_leaving = false;
  /// It is there.
  bool stored = false;
  /// On the link to the session's gateway, or with it.
  bool is_under_way = false;
  /// Routed anew: of a record before others that the session has been given.
  bool is_late = false;
};

}  // namespace rookery::session_manager
