#pragma once

#include <memory>

#include "domain/state/delivery.h"
#include "domain/state/session.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class DeliveryStates;
class Outbox;
class SessionTable;
struct SessionManagerMetrics;
struct Settings;

/// Numbers the stanzas that a session is given and keeps each until it is acknowledged or stored. Decides
/// nothing about who is given what. I/O thread only.
class Packets {
 public:
  /// Too much waits for the session's client.
  class Overflow {
   public:
    /// Ends it, but never within this call.
    virtual void EndOverflowing(Session& session) = 0;

   protected:
    ~Overflow() = default;
  };

  Packets(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
          const SessionTable& table, Outbox& outbox, DeliveryStates& states)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        table_(table),
        outbox_(outbox),
        states_(states) {}
  /// Before the first session.
  void SetOverflow(Overflow& overflow) { overflow_ = &overflow; }
  bool is_wired() const { return overflow_ != nullptr; }

  /// Queues the stanza, and sends it if the session has a gateway.
  void SendNow(Session& session, std::shared_ptr<Delivery> delivery, bool primary);
  /// Numbers it and keeps it, without sending it. `primary`: it was addressed to this session.
  void Queue(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary);
  /// The packet keeps its record until it is acknowledged or stored.
  void Hold(Session& session, UnackedPacket& packet);

 private:
  /// Besides the largest.
  bool HasTooManyBytes(const Session& session) const;
  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const SessionTable& table_;
  Outbox& outbox_;
  DeliveryStates& states_;
  Overflow* overflow_ = nullptr;
};

}  // namespace rookery::session_manager
