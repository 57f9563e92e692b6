#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "domain/inbound_window.h"
#include "domain/outbound_window.h"
#include "domain/reading_gate.h"
#include "rookery/base/session_id.h"
#include "rookery/xmpp/jid.h"

namespace rookery::gateway {

class SessionClient;

/// Why a session's stream is over.
enum class EndReason : std::uint8_t {
  kNone,
  kClosed,          // closed in order, or for what the client did wrong
  kConnectionLost,  // it may be resumed
};

/// A client's session as the gateway knows it, whatever protocol the client speaks: its
/// counts both ways and what the next owner of its shard needs to go on with it. It
/// outlives the client's connection until its session-manager has taken note.
/// Owned by the Cluster; I/O thread only.
struct ClientSession {
  ClientSession(SessionId session_id, std::string_view jid) : id(session_id), full_jid(jid) {}
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  std::string_view user() const { return xmpp::BareOf(full_jid); }

  const SessionId id;
  const std::string full_jid;
  InboundWindow inbound;
  OutboundWindow outbound;
  /// The newest state, which only the session-manager understands.
  std::string state;
  /// The epoch of the owner that has last said something of it, and so knew it; -1: none has.
  std::int64_t known_epoch = -1;
  /// nullptr once the connection is gone.
  SessionClient* client = nullptr;
  /// Where its client waits to be read again.
  ReadingGate::Place waiting;
  std::uint32_t shard = 0;
  /// Its place in the Cluster's list of the shard's sessions.
  std::uint32_t slot = 0;
  EndReason end = EndReason::kNone;
  /// Its client is to hear OnBatchEnd.
  bool in_batch = false;
};

}  // namespace rookery::gateway
