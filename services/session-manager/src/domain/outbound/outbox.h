#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "domain/state/delivery.h"
#include "domain/state/session.h"
#include "ports/gateway_peer.h"

namespace rookery::session_manager {

class Confirmations;
class SessionTable;
struct Settings;

/// Sends to the gateways of sessions the newest state of each, and its packets in the order of their numbers.
/// Nothing is put on a link that is congested, and no more than a client takes: it waits on its session until
/// the link has room, and until the client has acknowledged what came before (delivery/README.md, B2 and B3).
/// I/O thread only.
class Outbox {
 public:
  /// Told of a new state that no gateway can be told, or not for long.
  class Listener {
   public:
    virtual void OnStateChanged(Session& session) = 0;

   protected:
    ~Listener() = default;
  };

  Outbox(asio::any_io_executor executor, const Settings& settings, const SessionTable& table,
         Confirmations& confirmations)
      : executor_(std::move(executor)), settings_(settings), table_(table), confirmations_(confirmations) {}
  /// Before the first session.
  void SetListener(Listener& listener) { listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr; }

  /// Tells the gateway the session's newest state, before anything that comes later for the session: at the
  /// end of the loop's turn, once for all that changes in it, or when its link has room.
  void Publish(Session& session);
  /// At once, to the session's gateway, which it must have.
  void SendState(Session& session);
  /// Tells the session's gateway what is not on the link yet, its state and then packets, as long as that
  /// has room.
  void Push(Session& session);
  /// Whether the packet that has just been numbered may go at once; it counts as under way from then on.
  bool TakeTurn(Session& session);
  /// A packet that is on the link and acknowledged makes room for those after it.
  void OnAcknowledged(Session& session, UnackedPacket& packet);
  /// Sends all packets after `after_seq`. The gateway has those before, which are under way.
  void PushFrom(Session& session, std::uint64_t after_seq);
  static void Fill(session::v1::Packet& packet, const Delivery& delivery, bool primary);

  /// The gateway's link has room again: sends what has waited for it.
  void OnRoom(GatewayPeer& gateway);
  void OnGatewayLost(GatewayPeer& gateway) { behind_.erase(&gateway); }

 private:
  void PushChanged();
  /// False: the link to the session's gateway has no room. Push comes when it has.
  bool FindRoomOrQueue(Session& session);
  /// Whether its client has taken enough for the packet to follow. If not, Push comes when it has.
  bool IsInPace(const Session& session, const UnackedPacket& packet) const;
  static void NoteUnderWay(Session& session, UnackedPacket& packet);

  asio::any_io_executor executor_;
  const Settings& settings_;
  const SessionTable& table_;
  Confirmations& confirmations_;
  Listener* listener_ = nullptr;
  /// Sessions that wait for room on the link to their gateway.
  std::unordered_map<const GatewayPeer*, std::deque<std::weak_ptr<Session>>> behind_;
  /// Sessions whose state has changed in this turn.
  std::vector<std::shared_ptr<Session>> changed_;
  bool is_posted_ = false;
};

}  // namespace rookery::session_manager
