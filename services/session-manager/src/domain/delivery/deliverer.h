#pragma once

#include <deque>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "domain/core.h"
#include "domain/delivery/delivery.h"

namespace rookery::session_manager {

/// Sends stanzas to sessions and follows each until its client has it, a store has it,
/// or its sender has an error (RFC 6121 section 8.5, XEP-0160, XEP-0198, XEP-0280).
class Deliverer {
 public:
  explicit Deliverer(Core& core) : core_(core) {}

  /// Numbers the stanza on the session, sends it to the session's gateway if there is
  /// one, and keeps it until acknowledged.
  void Send(Session& session, std::shared_ptr<Delivery> delivery, bool primary);
  /// The same, although the session is just handed what came before: by who does that.
  void SendNow(Session& session, std::shared_ptr<Delivery> delivery, bool primary);
  /// One stanza to several sessions: one packet for each gateway.
  void SendToAll(const std::vector<Session*>& sessions, const std::shared_ptr<Delivery>& delivery,
                 bool primary);
  /// An answer that follows from no record.
  void Reply(Session& session, xmpp::Stanza stanza);

  /// A record's stanza for one session: as Send, unless an earlier owner has sent it.
  /// kElsewhere: that owner did not mean it for this session, which began later or was not
  /// available then.
  enum class Sent { kNow, kBefore, kElsewhere };
  Sent SendRecord(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary, bool recovering);

  /// Every packet up to `seq` has reached the client.
  void Acknowledge(Session& session, std::uint64_t seq);
  /// Sends the unacknowledged packets after `after_seq` again: at once, or when the records in which some
  /// of them came have been applied. False: one of them is lost.
  bool Resend(Session& session, std::uint64_t after_seq);
  /// Records of the user that waited have been applied: some session may wait for what they brought.
  void ResendDue(User& user);
  /// Tells the session's gateway what is not on the link yet, its state and then packets, as long as that
  /// has room.
  void Push(Session& session);
  /// The gateway's link has room again: sends what has waited for it.
  void OnRoom(GatewayPeer& gateway);
  void OnGatewayLost(GatewayPeer& gateway) { behind_.erase(&gateway); }

  /// A message from a record to the user.
  void RouteMessage(User& user, const std::shared_ptr<Delivery>& message, bool recovering);
  /// The session has ended: what its client did not acknowledge goes where a message to
  /// an absent resource goes.
  void Abandon(User& user, Session& session);
  /// Error reply to the sender of what came in a record that is not finished (never to an error).
  void Bounce(Shard& shard, const Delivery& delivery, xmpp::ErrorCondition condition,
              std::string_view text = {});
  /// The same, of what a session has left that has ended: its record may be finished.
  void BounceEnded(Shard& shard, const std::shared_ptr<EndWrites>& end, const Delivery& delivery,
                   xmpp::ErrorCondition condition, std::string_view text = {});

  /// Moves what was not acknowledged for window_time to the store, so that one silent
  /// client does not hold its shard's cursor. Costs what is due.
  void StoreOldPackets(Shard& shard);
  /// Packets from the store, at a change of owner, when every gateway has had its chance to bring its
  /// sessions and the parked ones are there. Those of one session, in order. A session that nobody has
  /// brought has ended.
  void RestorePackets(Shard& shard, const WaitingStore::SessionKey& key,
                      std::vector<WaitingStore::SessionPacket> packets);

 private:
  /// The session is handed what came before; the stanza waits.
  bool IsHeldBack(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary);
  void Queue(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary);
  static void FillPacket(session::v1::Packet& packet, const Delivery& delivery, bool primary);
  void Release(Session& session, UnackedPacket& packet);
  /// Whether the link to the session's gateway has room. If not, Push comes when it has.
  bool HasRoom(Session& session);
  void CopyToOthers(User& user, const std::vector<Session*>& sessions, const Delivery& message,
                    bool recovering);
  /// The rest of RouteMessage for a record that an earlier owner may have applied.
  void RouteRecovered(User& user, const std::shared_ptr<Delivery>& message,
                      const std::vector<std::size_t>& targets, bool to_account);
  /// Finds the message among what an earlier owner gave to the user's sessions.
  void FindGiven(User& user, const std::shared_ptr<Delivery>& message,
                 const std::vector<std::size_t>& copies);
  /// `recovering`: an earlier owner may have stored it.
  void StoreOrBounce(User& user, const std::shared_ptr<Delivery>& message, bool recovering);
  /// What must not be stored, of a session that has ended. `is_logged`: its record is not finished.
  void RouteUnstored(User& user, Session& ended, const Delivery& delivery, bool is_logged);
  void AppendError(Shard& shard, Cause cause, const Delivery& delivery, xmpp::ErrorCondition condition,
                   std::string_view text);
  /// The packet keeps its record until it is acknowledged or stored.
  void Hold(Session& session, UnackedPacket& packet);
  void StorePackets(const std::shared_ptr<Session>& session);
  void OnPacketsStored(const std::shared_ptr<Session>& session, std::uint64_t up_to, std::size_t count,
                       bool is_stored);
  void RestorePacket(Session& session, WaitingStore::SessionPacket row);
  static UnackedPacket FromRow(const WaitingStore::SessionPacket& row, SteadyTime now);

  Core& core_;
  /// Sessions whose packets wait for room on the link to their gateway.
  std::unordered_map<const GatewayPeer*, std::deque<std::weak_ptr<Session>>> behind_;
};

}  // namespace rookery::session_manager
