#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "domain/state/delivery.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class DeliveryStates;
class MessageRoutes;
class Outbox;
class PacketRows;
class SessionRows;
class SessionTable;
class Users;
struct Session;
struct SessionManagerMetrics;
struct Shard;
struct User;

/// Learns for a new owner of a shard what the waiting store has of sessions' packets (README.md, P4, E1 and
/// L2), when every gateway has had its chance to bring its sessions. I/O thread only.
class PacketRecovery {
 public:
  PacketRecovery(const Clock& clock, SessionManagerMetrics& metrics, const SessionTable& table, Users& users,
                 Outbox& outbox, DeliveryStates& states, SessionRows& rows, PacketRows& packet_rows,
                 MessageRoutes& routes)
      : clock_(clock),
        metrics_(metrics),
        table_(table),
        users_(users),
        outbox_(outbox),
        states_(states),
        rows_(rows),
        packet_rows_(packet_rows),
        routes_(routes) {}

  /// Packets of one session, in order, of which the session is known if anybody knows it. They come owner by
  /// owner: those of one owner are settled when the next one's begin, so that no more than those are kept.
  void Restore(Shard& shard, WaitingStore::SessionKey key, std::vector<WaitingStore::SessionPacket> packets);
  /// There are no more.
  void Finish(Shard& shard);

 private:
  using Deliveries = absl::flat_hash_map<std::int64_t, std::shared_ptr<Delivery>>;

  /// All that the owner has is known: packets of sessions that nobody has brought go where those of ended
  /// ones go, and those that a session's client has acknowledged go.
  void SettleOwner(Shard& shard);
  std::shared_ptr<Session> FindSession(const Shard& shard, const WaitingStore::SessionKey& key) const;
  /// Returns what other sessions of the user have of messages that went to several.
  static Deliveries SharedWith(const User& user, const Session* session);
  UnackedPacket FromRow(const WaitingStore::SessionPacket& row, const Deliveries& shared) const;
  void RestoreTo(const std::shared_ptr<Session>& known, std::vector<WaitingStore::SessionPacket> packets);
  /// The packet of the session that the row is; null where there is none.
  UnackedPacket* Fill(Session& session, const WaitingStore::SessionPacket& row,
                      const Deliveries& shared) const;
  void Append(Session& session, const WaitingStore::SessionPacket& row, const Deliveries& shared);
  void Abandon(Shard& shard, const WaitingStore::SessionKey& key,
               const std::vector<WaitingStore::SessionPacket>& packets);

  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const SessionTable& table_;
  Users& users_;
  Outbox& outbox_;
  DeliveryStates& states_;
  SessionRows& rows_;
  PacketRows& packet_rows_;
  MessageRoutes& routes_;
};

}  // namespace rookery::session_manager
