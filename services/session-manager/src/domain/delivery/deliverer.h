#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "domain/state/delivery.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

struct Settings;
class HandOuts;
class OfflineMarks;
class PacketRows;
class WaitingStanzas;
class Outbox;
struct Session;
struct Shard;
struct User;
class DeliveryStates;
class Packets;
struct SessionManagerMetrics;

/// Sends stanzas to sessions and follows each until its client has it or the session has ended (XEP-0198).
/// Where a message goes, MessageRoutes decides. I/O thread only.
class Deliverer {
 public:
  class Listener {
   public:
    /// The session's client has taken what it had too much of, and what it was not given of presence
    /// meanwhile can be told.
    virtual void OnRoomForPresence(Session& session) = 0;
    /// It has taken a portion of what it is told anew (TellingAnew).
    virtual void OnPortionTaken(Session& session) = 0;

   protected:
    ~Listener() = default;
  };
  class RosterListener {
   public:
    /// The session's client has taken what it had too much of, and the requests and changes of the roster
    /// that it was not given meanwhile can be told.
    virtual void OnRoomForRoster(Session& session) = 0;

   protected:
    ~RosterListener() = default;
  };

  Deliverer(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics, Outbox& outbox,
            DeliveryStates& states, Packets& packets, PacketRows& packet_rows, WaitingStanzas& waiting,
            OfflineMarks& marks, HandOuts& hand_outs)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        outbox_(outbox),
        states_(states),
        packets_(packets),
        packet_rows_(packet_rows),
        waiting_(waiting),
        marks_(marks),
        hand_outs_(hand_outs) {}
  /// Before the first session.
  void SetListener(Listener& listener) { listener_ = &listener; }
  void SetRosterListener(RosterListener& listener) { roster_listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr && roster_listener_ != nullptr; }

  /// Numbers the stanza on the session, sends it to the session's gateway if there is
  /// one, and keeps it until acknowledged.
  void Send(Session& session, std::shared_ptr<Delivery> delivery, bool primary);
  /// One stanza to several sessions: one packet for each gateway.
  void SendToAll(std::span<Session* const> sessions, const std::shared_ptr<Delivery>& delivery, bool primary);
  /// An answer that follows from no record.
  void Reply(Session& session, xmpp::Stanza stanza);

  /// A record's stanza for one session: as Send, unless an earlier owner has sent it.
  /// kElsewhere: that owner did not mean it for this session, which began later or was not
  /// available then.
  enum class Sent { kNow, kBefore, kElsewhere };
  Sent SendRecord(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary, bool recovering);

  /// The client of some session has the message of a packet, of which other sessions of the user may have
  /// packets, too. The packet is about to go.
  void Reach(User& user, UnackedPacket& packet);
  /// Every packet up to `seq` has reached the client.
  void Acknowledge(Session& session, std::uint64_t seq);
  /// The gateway says that every packet up to `seq` has reached the client: Acknowledge, and what waited for
  /// room in the session follows.
  void OnDelivered(Session& session, std::uint64_t seq);
  /// Its client may have taken more: what waits for that is told.
  void CatchUp(Session& session);
  /// True: the session has too much of others already to be given this, too, which nobody keeps for it: a
  /// copy, presence, an answer (B4). Presence that it is spared is told anew when there is room again.
  [[nodiscard]] bool SpareIfFull(Session& session, const xmpp::Stanza& stanza, std::int64_t offset);
  /// As SpareIfFull, of what the session is never told again.
  [[nodiscard]] bool SpareForGoodIfFull(const Session& session, std::int64_t offset);
  /// As SpareForGoodIfFull, of a copy of what the user has sent, for which a session keeps more room (B4).
  [[nodiscard]] bool SpareOwnCopyIfFull(const Session& session, std::int64_t offset);
  /// Sends the unacknowledged packets after `after_seq` again: at once, or when the records in which some
  /// of them came have been applied. False: one of them is lost.
  bool Resend(Session& session, std::uint64_t after_seq);
  /// Records of the user that waited have been applied: some session may wait for what they brought. Those
  /// sessions are returned of which a packet is lost.
  std::vector<std::shared_ptr<Session>> ResendDue(User& user);

 private:
  /// True: the session is handed what came before, and the stanza waits.
  bool HoldBack(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary);
  void Release(Session& session, UnackedPacket& packet);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  Outbox& outbox_;
  DeliveryStates& states_;
  Packets& packets_;
  PacketRows& packet_rows_;
  WaitingStanzas& waiting_;
  OfflineMarks& marks_;
  HandOuts& hand_outs_;
  Listener* listener_ = nullptr;
  RosterListener* roster_listener_ = nullptr;
};

}  // namespace rookery::session_manager
