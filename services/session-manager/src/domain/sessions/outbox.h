#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "domain/delivery/delivery.h"
#include "domain/sessions/session.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

class Confirmations;
class SessionTable;

/// What goes to the gateways of sessions: the newest state of each, and its packets in the order of their
/// numbers. Nothing is put on a link that is congested: it waits on its session until the link has room
/// (delivery/README.md, B2). I/O thread only.
class Outbox {
 public:
  /// Told of a new state that no gateway can be told.
  class Listener {
   public:
    virtual void OnStateChanged(Session& session) = 0;

   protected:
    ~Listener() = default;
  };

  Outbox(const SessionTable& table, Confirmations& confirmations)
      : table_(table), confirmations_(confirmations) {}
  /// Before the first session.
  void Tell(Listener& listener) { listener_ = &listener; }

  /// Tells the gateway the session's newest state: at once, or when its link has room.
  void Publish(Session& session);
  /// At once, to the session's gateway, which it must have.
  void SendState(Session& session);
  /// Tells the session's gateway what is not on the link yet, its state and then packets, as long as that
  /// has room.
  void Push(Session& session);
  static void Fill(session::v1::Packet& packet, const Delivery& delivery, bool primary);

  /// The gateway's link has room again: sends what has waited for it.
  void OnRoom(GatewayPeer& gateway);
  void OnGatewayLost(GatewayPeer& gateway) { behind_.erase(&gateway); }

 private:
  /// Whether the link to the session's gateway has room. If not, Push comes when it has.
  bool HasRoom(Session& session);

  const SessionTable& table_;
  Confirmations& confirmations_;
  Listener* listener_ = nullptr;
  /// Sessions that wait for room on the link to their gateway.
  std::unordered_map<const GatewayPeer*, std::deque<std::weak_ptr<Session>>> behind_;
};

}  // namespace rookery::session_manager
