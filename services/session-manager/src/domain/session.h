#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "domain/delivery.h"
#include "domain/inbound_ledger.h"
#include "domain/session_id.h"
#include "ports/gateway_peer.h"
#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/session/v1/session_state.pb.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

struct User;
struct ClientCaps;

/// An action of a gateway that cannot be done yet.
struct WaitingAction {
  std::string gateway;
  session::v1::GatewayAction action;
};

/// Packets without acknowledgement, oldest first. Freed when empty.
class UnackedQueue {
 public:
  bool empty() const { return head_ == packets_.size(); }
  std::size_t size() const { return packets_.size() - head_; }
  UnackedPacket& front() { return packets_[head_]; }
  void push_back(UnackedPacket packet) { packets_.push_back(std::move(packet)); }
  void pop_front();
  auto begin() { return packets_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() { return packets_.end(); }
  auto begin() const { return packets_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const { return packets_.end(); }

 private:
  std::vector<UnackedPacket> packets_;
  std::size_t head_ = 0;
};

/// Writes that follow from the end of a session, and what is done after the last of them.
struct EndWrites {
  int open = 0;
  std::vector<std::function<void()>> then;
};

/// One resource of a user: the session that jabberd2 keeps in `sm`, whose connection
/// lies in a gateway, in none while its client is away (XEP-0198), or in another one
/// after it has resumed.
struct Session {
  SessionId id;
  User* user = nullptr;
  /// Full JID.
  xmpp::Jid jid;
  std::string_view resource() const { return jid.resource(); }

  /// Null while detached, or while the link to its gateway is being made again.
  GatewayPeer* gateway = nullptr;
  /// Set when the gateway or the client is gone; `ended` once nothing refers to it.
  SteadyTime detached_since;
  bool detached = false;
  bool ended = false;
  /// The client has closed its stream; the session ends when all it sent is in the log.
  bool closing = false;
  /// New sessions of the same name, which begin when this one, closing, has ended. Null when none.
  std::unique_ptr<std::vector<WaitingAction>> successors;
  /// A gateway waits for `parked` before it forgets the session.
  bool park_wanted = false;
  bool park_in_flight = false;
  /// The waiting store has it as it is.
  bool parked = false;
  /// The waiting store may have it as it was before.
  bool has_old_row = false;
  /// Resumed just now: the gateway that it left, and the store, keep it until the new one has it.
  bool is_handed_over = false;

  /// Packets of it were put into the waiting store.
  bool has_rows = false;
  /// What its end has still to write into the offline store; null when that is nothing.
  std::shared_ptr<EndWrites> end_writes;

  /// Attempts to resume; only the newest goes on.
  std::uint32_t resume_attempts = 0;
  /// The gateway that the client left with the newest resumption, until it is told so.
  std::string left_gateway;

  InboundLedger inbound;
  /// Stanzas that wait for an earlier one of this session to finish (order, RFC 6120
  /// section 10.1). Null when there are none.
  std::unique_ptr<std::deque<session::v1::ClientStanza>> inbound_queue;
  bool inbound_busy = false;
  bool confirm_due = false;

  std::uint64_t last_seq = 0;
  std::uint64_t acked_seq = 0;
  std::uint64_t base_seq = 0;
  /// The newest record given, and the newest that was addressed to this session.
  std::int64_t last_offset = -1;
  std::int64_t last_primary = -1;
  UnackedQueue unacked;
  std::size_t unacked_bytes = 0;

  /// XEP-0198.
  bool stream_management = false;
  bool resume = false;

  session::v1::SessionManagerState state;
  /// What its client has proved that it can do (XEP-0115); null while that is not known.
  std::shared_ptr<const ClientCaps> caps;

  bool available() const { return state.available(); }
  int priority() const { return state.priority(); }
};

}  // namespace rookery::session_manager
