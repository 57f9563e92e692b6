#include "domain/delivery/packet_recovery.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/message_routes.h"
#include "domain/delivery/packet_rows.h"
#include "domain/delivery/session_rows.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/metrics.h"
#include "domain/outbound/outbox.h"
#include "domain/state/session_table.h"
#include "domain/state/shard.h"
#include "domain/users/users.h"

namespace rookery::session_manager {

namespace {

bool IsFromRecord(const WaitingStore::SessionPacket& row) { return row.offset >= 0 && row.offline_id == 0; }

/// The record that a packet says, also by way of the offline store (P2); -1: none.
std::int64_t RecordOf(std::int64_t offset, std::uint64_t stored_id) {
  return stored_id != 0 ? OffsetOf(stored_id) : offset;
}

/// Whether it is a message that came in a record and was addressed to the session: other sessions of the user
/// may have been given the same.
bool MayBeShared(const WaitingStore::SessionPacket& row) { return IsFromRecord(row) && row.primary; }

bool WasGivenTo(const WaitingStore::SessionPacket& row, const Session& session) {
  for (std::size_t at = 0; at + SessionId::kBytes <= row.given_to.size(); at += SessionId::kBytes)
    if (std::string_view(row.given_to).substr(at, SessionId::kBytes) == session.id.bytes()) return true;
  return false;
}

}  // namespace

void PacketRecovery::Restore(Shard& shard, WaitingStore::SessionKey key,
                             std::vector<WaitingStore::SessionPacket> packets) {
  ShardDelivery& state = states_.Of(shard);
  if (state.restored_owner != key.owner) {
    SettleOwner(shard);
    state.restored_owner = key.owner;
  }
  // The page before may have had the first ones of the same session, when nobody had brought it.
  auto& unclaimed = state.unclaimed;
  if (unclaimed.empty() || unclaimed.back().first != key) {
    unclaimed.emplace_back(std::move(key), std::move(packets));
  } else {
    std::move(packets.begin(), packets.end(), std::back_inserter(unclaimed.back().second));
  }
  const std::shared_ptr<Session> known = FindSession(shard, unclaimed.back().first);
  // Otherwise: what other sessions of the owner have of it is known when all of the owner's is read.
  if (!known) return;
  packets = std::move(unclaimed.back().second);
  unclaimed.pop_back();
  RestoreTo(known, std::move(packets));
}

void PacketRecovery::Finish(Shard& shard) {
  if (!shard.delivery) return;
  SettleOwner(shard);
  shard.delivery->restored_owner.clear();
  shard.delivery->are_all_settled = true;
}

std::shared_ptr<Session> PacketRecovery::FindSession(const Shard& shard,
                                                     const WaitingStore::SessionKey& key) const {
  std::shared_ptr<Session> known = table_.Find(SessionId(key.session));
  return known && known->user->shard == &shard ? known : nullptr;
}

void PacketRecovery::SettleOwner(Shard& shard) {
  ShardDelivery& state = *shard.delivery;
  state.settled_up_to = std::max(state.settled_up_to, state.restored_owner);
  absl::flat_hash_set<std::int64_t> reached;
  for (const auto& [key, acknowledged] : state.acknowledged)
    reached.insert(acknowledged.offsets.begin(), acknowledged.offsets.end());
  for (auto& [key, packets] : std::exchange(state.unclaimed, {})) {
    // Its gateway may have brought it meanwhile.
    if (const std::shared_ptr<Session> known = FindSession(shard, key)) {
      RestoreTo(known, std::move(packets));
      continue;
    }
    for (WaitingStore::SessionPacket& packet : packets)
      packet.reached = packet.reached || reached.contains(packet.offset);
    Abandon(shard, key, packets);
  }
  for (const auto& [key, acknowledged] : std::exchange(state.acknowledged, {})) {
    User* const user = shard.FindUser(key.owner);
    if (user != nullptr) {
      const Deliveries shared = SharedWith(*user, nullptr);
      std::vector<PacketRows::Reached> told;
      for (const std::int64_t offset : acknowledged.offsets) {
        const auto found = shared.find(offset);
        if (found != shared.end() && !std::exchange(found->second->reached, true))
          told.push_back({found->second});
      }
      if (!told.empty()) packet_rows_.TellReached(*user, std::move(told));
    }
    // Only now: the rows of the others say it.
    states_.WriterOf(shard).RemovePackets(key, acknowledged.up_to, {});
  }
}

PacketRecovery::Deliveries PacketRecovery::SharedWith(const User& user, const Session* session) {
  Deliveries shared;
  for (const auto& other : user.sessions) {
    if (other.get() == session) continue;
    for (const UnackedPacket& packet : other->unacked)
      if (packet.offset >= 0 && packet.primary && packet.stored_id == 0 && packet.delivery != nullptr)
        shared.emplace(packet.offset, packet.delivery);
  }
  return shared;
}

UnackedPacket PacketRecovery::FromRow(const WaitingStore::SessionPacket& row,
                                      const Deliveries& shared) const {
  UnackedPacket packet;
  packet.seq = row.seq;
  packet.offset = row.offset;
  packet.stored_id = row.offline_id;
  packet.since = clock_.Now();
  packet.primary = row.primary;
  packet.is_leaving = packet.stored = true;
  const auto same = MayBeShared(row) ? shared.find(row.offset) : shared.end();
  if (same != shared.end()) {
    packet.delivery = same->second;
  } else {
    packet.delivery = std::make_shared<Delivery>();
    packet.delivery->stanza = *row.stanza;
    packet.delivery->offset = row.offset;
    packet.delivery->stored_id = row.offline_id;
    packet.delivery->is_logged = false;
    packet.delivery->received_at_ms = row.received_at_ms;
    packet.delivery->to_each = row.to_each;
  }
  if (row.reached) {
    packet.delivery->reached = true;
  } else if (row.primary) {
    packet.delivery->may_have_rows = true;
  }
  return packet;
}

void PacketRecovery::RestoreTo(const std::shared_ptr<Session>& known,
                               std::vector<WaitingStore::SessionPacket> packets) {
  Session& session = *known;
  session.has_rows = true;
  const Deliveries shared = SharedWith(*session.user, &session);
  const std::uint64_t last_seq = session.last_seq;
  const std::int64_t last_offset = session.last_offset;
  bool is_renumbered = false;
  for (const WaitingStore::SessionPacket& row : packets) {
    // An owner that did not know what the gateway has, since it had the session from an outdated row (SL13),
    // has given numbers of its own: what follows from a record is recognized by that.
    const bool is_news = row.seq > last_seq || (IsFromRecord(row) && row.offset > last_offset);
    if (const UnackedPacket* packet = Fill(session, row, shared)) {
      is_renumbered = is_renumbered || packet->seq != row.seq;
    } else if (is_news) {
      Append(session, row, shared);
      is_renumbered = is_renumbered || session.last_seq != row.seq;
    } else if (row.seq <= session.acked_seq) {
      auto& acknowledged =
          states_.Of(*session.user->shard).acknowledged[{session.user->bare, session.id.str()}];
      acknowledged.up_to = session.acked_seq;
      if (MayBeShared(row) && !row.reached) acknowledged.offsets.push_back(row.offset);
    }
  }
  // Under their new numbers, before the others go.
  if (is_renumbered) packet_rows_.Store(known);
}

UnackedPacket* PacketRecovery::Fill(Session& session, const WaitingStore::SessionPacket& row,
                                    const Deliveries& shared) const {
  const std::int64_t record = RecordOf(row.offset, row.offline_id);
  auto& packets = session.unacked;
  auto packet = std::find_if(packets.begin(), packets.end(), [&](const UnackedPacket& unacked) {
    return unacked.seq == row.seq && RecordOf(unacked.offset, unacked.stored_id) == record;
  });
  if (packet == packets.end() && record >= 0) {
    packet = std::find_if(packets.begin(), packets.end(), [&](const UnackedPacket& unacked) {
      return unacked.delivery == nullptr && RecordOf(unacked.offset, unacked.stored_id) == record;
    });
  }
  if (packet == packets.end()) return nullptr;
  packet->is_leaving = packet->stored = packet->seq == row.seq;
  packet->primary = row.primary;
  if (packet->delivery == nullptr) {
    packet->delivery = FromRow(row, shared).delivery;
    if (packet->primary) ++packet->delivery->open_targets;
    session.unacked_bytes += packet->delivery->bytes();
  }
  return &*packet;
}

void PacketRecovery::Append(Session& session, const WaitingStore::SessionPacket& row,
                            const Deliveries& shared) {
  UnackedPacket packet = FromRow(row, shared);
  // One with a gap before it: its client has acknowledged what is not there, so that nothing that only the
  // store knows of the session is true any more; but what the row has, the client has not.
  const bool has_gap = row.seq != session.last_seq + 1;
  if (has_gap) session.row.NoteGap(session.state.resumptions());
  packet.seq = ++session.last_seq;
  packet.is_leaving = packet.stored = !has_gap;
  session.last_offset = std::max(session.last_offset, row.offset);
  if (row.primary) {
    session.last_primary = std::max(session.last_primary, row.offset);
    ++packet.delivery->open_targets;
  }
  session.unacked_bytes += packet.delivery->bytes();
  if (packet.stored_id != 0) {
    // Its gateway may never have heard of that either (W5).
    auto& given = *session.state.add_given_offline();
    given.set_seq(packet.seq);
    given.set_id(packet.stored_id);
    outbox_.Publish(session);
  }
  session.unacked.push_back(std::move(packet));
  // Stored by the last owner, never given to the gateway.
  outbox_.Push(session);
}

void PacketRecovery::Abandon(Shard& shard, const WaitingStore::SessionKey& key,
                             const std::vector<WaitingStore::SessionPacket>& packets) {
  // Gateway and owner died together, or the session ended and its rows were not removed any more:
  // they may be the last trace of what its client has not had.
  const SessionId id(key.session);
  User& user = shard.GetUser(key.owner);
  const Deliveries shared = SharedWith(user, nullptr);
  auto& orphans = states_.Of(shard).orphans;
  Session ended;
  ended.id = id;
  ended.user = &user;
  ended.jid = xmpp::Jid::FromTrusted(key.owner);
  ended.BeginAs(SessionPhase::kEnded, clock_.Now());
  ended.has_rows = true;
  for (const WaitingStore::SessionPacket& row : packets) {
    // Another session was given it, and its client may have it: what becomes of it is decided when its
    // record is read again.
    const bool is_with_another =
        MayBeShared(row) && row.offset >= shard.committed &&
        std::any_of(user.sessions.begin(), user.sessions.end(), [&](const auto& session) {
          return FindEmptyPacket(*session, row.offset) != nullptr || WasGivenTo(row, *session);
        });
    if (is_with_another) continue;
    UnackedPacket packet = FromRow(row, shared);
    if (packet.primary) ++packet.delivery->open_targets;
    // Its gateway may bring it yet.
    const bool is_from_record = packet.offset >= 0 && packet.stored_id == 0;
    if (is_from_record && orphans.size() < ShardDelivery::kMaxOrphans) orphans.insert({id, packet.offset});
    ended.unacked.push_back(std::move(packet));
  }
  metrics_.packets_orphaned.Increment(static_cast<double>(packets.size()));
  routes_.Abandon(user, ended);
  rows_.Remove(ended, packets.back().seq);
  users_.MaybeForget(user);
}

}  // namespace rookery::session_manager
