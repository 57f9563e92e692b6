#pragma once

#include <cstdint>
#include <string_view>

namespace rookery::session_manager {

/// Where a session is in its life. The rules are in README.md, "The life of a session"; the table of
/// moves is in session_phase.cc.
enum class SessionPhase : std::uint8_t {
  /// Its client is connected, as far as its gateway has told.
  kConnected,
  /// Its client has just gone on with it on another gateway. The gateway that the client has left, and the
  /// store, keep the session until the new gateway has it for certain.
  kResumed,
  /// The link to its gateway is gone: the gateway may be dead, or come back with the session.
  kLinkLost,
  /// Its client is away and may resume (XEP-0198). What it sent is on its way into the log.
  kAway,
  /// Its client is away, and the session is being written into the store.
  kParking,
  /// The store has it: its gateway may forget it.
  kParked,
  /// Its client has closed the stream: it ends when all that the client sent is in the log.
  kClosing,
  /// The record of its end is on its way. Its client is connected, or has closed the stream.
  kEnding,
  /// The record of its end is on its way, and its client is away.
  kEndingAway,
  /// The record of its end has been applied, or another copy of the session has taken its place.
  kEnded,
};

std::string_view Name(SessionPhase phase);
bool MayFollow(SessionPhase from, SessionPhase to);

/// Whether the client is without a connection, and the end of the session is not decided.
constexpr bool IsAway(SessionPhase phase) {
  return phase == SessionPhase::kLinkLost || phase == SessionPhase::kAway ||
         phase == SessionPhase::kParking || phase == SessionPhase::kParked;
}

/// Whether the record of its end is on its way.
constexpr bool IsEnding(SessionPhase phase) {
  return phase == SessionPhase::kEnding || phase == SessionPhase::kEndingAway;
}

/// Whether the client is without a connection. Not of a session that is over.
constexpr bool IsDetached(SessionPhase phase) { return IsAway(phase) || phase == SessionPhase::kEndingAway; }

/// Where a session goes when its end is decided: it is as much away as it was before.
constexpr SessionPhase EndingOf(SessionPhase phase) {
  return IsDetached(phase) ? SessionPhase::kEndingAway : SessionPhase::kEnding;
}

}  // namespace rookery::session_manager
