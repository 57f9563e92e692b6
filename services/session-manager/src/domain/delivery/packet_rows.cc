#include "domain/delivery/packet_rows.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "domain/delivery/delivery_states.h"
#include "domain/metrics.h"
#include "domain/settings.h"
#include "domain/state/session.h"
#include "domain/state/shards.h"
#include "domain/state/user.h"

namespace rookery::session_manager {

namespace {

/// Packets of a session are written so many at a time.
constexpr std::size_t kPacketsAtOnce = 200;
constexpr std::size_t kPacketBytesAtOnce = 512 * 1024;
/// Packets for which the writer has no room are offered to it again so much later.
constexpr std::chrono::milliseconds kLookForRoom{500};

using Rows = std::vector<WaitingStore::SessionPacket>;

/// The ids of the other sessions that have packets of the same deliveries.
using Sharers = absl::flat_hash_map<const Delivery*, std::string>;

Sharers SharersOf(const Session& session, const std::vector<UnackedPacket*>& packets) {
  Sharers sharers;
  for (const UnackedPacket* packet : packets)
    if (packet->primary && packet->delivery->open_targets > 1) sharers.try_emplace(packet->delivery.get());
  if (sharers.empty()) return sharers;
  for (const auto& other : session.user->sessions) {
    if (other.get() == &session) continue;
    for (const UnackedPacket& packet : other->unacked)
      if (const auto same = sharers.find(packet.delivery.get()); same != sharers.end())
        same->second += other->id.bytes();
  }
  return sharers;
}

WaitingStore::SessionPacket RowOf(const UnackedPacket& packet, const Sharers& sharers) {
  WaitingStore::SessionPacket row;
  row.seq = packet.seq;
  row.offset = packet.offset;
  row.offline_id = packet.stored_id;
  row.primary = packet.primary;
  row.to_each = packet.delivery->to_each;
  row.reached = packet.delivery->reached;
  row.received_at_ms = packet.delivery->received_at_ms;
  row.stanza = WaitingStore::SharedStanza(packet.delivery, &packet.delivery->stanza);
  if (row.primary && !row.reached) {
    packet.delivery->may_have_rows = true;
    if (const auto same = sharers.find(packet.delivery.get()); same != sharers.end())
      row.given_to = same->second;
  }
  return row;
}

/// Rows of these packets, as many together as one write may have.
std::vector<Rows> RowsOf(const Session& session, const std::vector<UnackedPacket*>& packets) {
  const Sharers sharers = SharersOf(session, packets);
  std::vector<Rows> writes;
  std::size_t bytes = 0;
  for (const UnackedPacket* packet : packets) {
    if (writes.empty() || writes.back().size() >= kPacketsAtOnce || bytes >= kPacketBytesAtOnce) {
      writes.emplace_back();
      bytes = 0;
    }
    writes.back().push_back(RowOf(*packet, sharers));
    bytes += packet->delivery->bytes();
  }
  return writes;
}

WaitingStore::SessionKey KeyOf(const Session& session) { return {session.user->bare, session.id.str()}; }

}  // namespace

void PacketRows::StoreOld(Shard& shard) {
  if (!shard.delivery) return;
  auto& due = shard.delivery->unacknowledged;
  const SteadyTime now = clock_.Now();
  while (const auto weak = due.Pop(now)) {
    const std::shared_ptr<Session> session = weak->lock();
    if (!session || session->ended() || session->user->shard != &shard) continue;
    session->is_store_due = false;
    const auto oldest =
        std::find_if(session->unacked.begin(), session->unacked.end(), [](const UnackedPacket& packet) {
          return packet.held >= 0 && packet.delivery && !packet.is_leaving;
        });
    if (oldest == session->unacked.end()) continue;  // armed again with the next packet
    if (const SteadyTime limit = oldest->since + settings_.window_time; limit > now) {
      session->is_store_due = true;
      due.Push(limit, session);
    } else if (!Store(session)) {
      session->is_store_due = true;
      due.Push(now + kLookForRoom, session);
    }
  }
}

bool PacketRows::Store(const std::shared_ptr<Session>& session) {
  StoreShares::Amount room = states_.WriterOf(*session->user->shard).RoomForPackets(session->user->bare);
  // Oldest first and without a gap: a later owner appends what it reads from the log
  // after what it finds in the store.
  std::vector<UnackedPacket*> leaving;
  bool is_all = true;
  for (UnackedPacket& packet : session->unacked) {
    if (packet.is_leaving || packet.delivery == nullptr) continue;
    is_all = room.rows > 0 && room.bytes > 0;
    if (!is_all) break;
    leaving.push_back(&packet);
    --room.rows;
    room.bytes -= std::min(room.bytes, packet.delivery->bytes());
  }
  for (Rows& rows : RowsOf(*session, leaving)) {
    session->has_rows = true;
    auto done = [this, session, up_to = rows.back().seq,
                 count = rows.size()](const StoreWriter::Answer& answer) {
      OnStored(session, up_to, count, answer.status.ok());
    };
    states_.WriterOf(*session->user->shard).StorePackets(KeyOf(*session), std::move(rows), std::move(done));
  }
  for (UnackedPacket* packet : leaving) packet->is_leaving = true;
  return is_all;
}

void PacketRows::OnStored(const std::shared_ptr<Session>& session, std::uint64_t up_to, std::size_t count,
                          bool is_stored) {
  if (session->ended()) return;
  if (is_stored) metrics_.stored_for_session.Increment(static_cast<double>(count));
  for (UnackedPacket& packet : session->unacked) {
    if (packet.seq > up_to) break;
    if (!packet.is_leaving || packet.stored) continue;
    if (is_stored) {
      packet.stored = true;
      if (packet.held >= 0) session->user->shard->window.Release(std::exchange(packet.held, -1));
    } else {
      // The log keeps it.
      packet.is_leaving = false;
    }
  }
}

void PacketRows::TellReached(User& user, std::vector<Reached> reached) {
  Shard& shard = *user.shard;
  absl::flat_hash_set<const Delivery*> deliveries;
  std::vector<std::int64_t> held;
  for (const Reached& entry : reached) {
    deliveries.insert(entry.delivery.get());
    if (entry.holds) held.push_back(entry.delivery->offset);
  }
  std::vector<std::pair<WaitingStore::SessionKey, Rows>> writes;
  for (const auto& session : user.sessions) {
    std::vector<UnackedPacket*> outdated;
    for (UnackedPacket& packet : session->unacked)
      if (packet.is_leaving && packet.primary && deliveries.contains(packet.delivery.get()))
        outdated.push_back(&packet);
    for (Rows& rows : RowsOf(*session, outdated)) writes.emplace_back(KeyOf(*session), std::move(rows));
  }
  if (writes.empty()) {
    for (const std::int64_t offset : held) shard.window.Release(offset);
    return;
  }
  for (std::size_t i = 0; i < writes.size(); ++i) {
    StoreWriter::Done done;
    // A user's writes are done in their order. What the store refuses for good may come twice, but holds
    // nobody up for ever.
    if (i + 1 == writes.size())
      done = [&shard, held = std::move(held)](const StoreWriter::Answer&) {
        for (const std::int64_t offset : held) shard.window.Release(offset);
      };
    states_.WriterOf(shard).StorePackets(std::move(writes[i].first), std::move(writes[i].second),
                                         std::move(done));
  }
}

}  // namespace rookery::session_manager
