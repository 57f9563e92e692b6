#include "adapters/pg_waiting_store.h"

#include <functional>

namespace rookery::session_manager {

namespace {

using pg::Param;

std::uint64_t LaneOf(std::string_view owner) { return std::hash<std::string_view>{}(owner); }
Param Id(std::uint64_t id) { return Param::Int(static_cast<std::int64_t>(id)); }

}  // namespace

Task<absl::StatusOr<WaitingStore::Stored>> PgWaitingStore::StoreOffline(std::string owner,
                                                                        OfflineMessage message,
                                                                        std::int64_t quota) {
  std::vector<Param> params{Param::Text(owner), Id(message.id), Param::Int(message.received_at_ms),
                            Param::Bytes(message.stanza.SerializeAsString()), Param::Int(quota)};
  auto result = co_await pool_.Execute(
      LaneOf(owner),
      "WITH known AS (SELECT 1 FROM accounts WHERE owner = $1), "
      "quota AS (SELECT count(*) >= $5::bigint AS reached FROM (SELECT 1 FROM offline_messages "
      "WHERE owner = $1 AND given_at_ms IS NULL LIMIT $5::bigint) AS kept), "
      "stored AS (INSERT INTO offline_messages (owner, id, received_at_ms, stanza) "
      "SELECT $1, $2::bigint, $3::bigint, $4 WHERE EXISTS (SELECT 1 FROM known) AND NOT (SELECT reached FROM "
      "quota) "
      "ON CONFLICT (owner, id) DO NOTHING RETURNING 1) "
      "SELECT EXISTS (SELECT 1 FROM known), EXISTS (SELECT 1 FROM stored), "
      "EXISTS (SELECT 1 FROM offline_messages WHERE owner = $1 AND id = $2::bigint)",
      std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& row = **result;
  if (!row.Bool(0, 0)) co_return Stored::kNoSuchUser;
  if (row.Bool(0, 1)) co_return Stored::kStored;
  co_return row.Bool(0, 2) ? Stored::kAlreadyThere : Stored::kQuotaReached;
}

Task<absl::StatusOr<std::vector<WaitingStore::OfflineMessage>>> PgWaitingStore::LoadOffline(
    std::string owner, std::uint64_t after, std::int64_t limit) {
  std::vector<Param> params{Param::Text(owner), Id(after), Param::Int(limit)};
  auto result = co_await pool_.Execute(LaneOf(owner),
                                       "SELECT id, received_at_ms, stanza FROM offline_messages "
                                       "WHERE owner = $1 AND id > $2::bigint AND given_at_ms IS NULL "
                                       "ORDER BY id LIMIT $3::bigint",
                                       std::move(params));
  if (!result.ok()) co_return result.status();
  std::vector<OfflineMessage> messages;
  messages.reserve((*result)->rows());
  for (std::size_t i = 0; i < (*result)->rows(); ++i) {
    OfflineMessage message;
    message.id = static_cast<std::uint64_t>((*result)->Int(i, 0));
    message.received_at_ms = (*result)->Int(i, 1);
    if (!message.stanza.ParseFromString((*result)->Bytes(i, 2))) continue;
    messages.push_back(std::move(message));
  }
  co_return messages;
}

Task<absl::StatusOr<std::vector<std::string>>> PgWaitingStore::OwnersWaiting(
    std::vector<std::string> owners) {
  std::vector<Param> params{Param::TextArray(owners)};
  auto result = co_await pool_.Execute(0,
                                       "SELECT k.owner FROM unnest($1::text[]) AS k (owner) WHERE EXISTS "
                                       "(SELECT 1 FROM offline_messages m WHERE m.owner = k.owner "
                                       "AND m.given_at_ms IS NULL)",
                                       std::move(params));
  if (!result.ok()) co_return result.status();
  std::vector<std::string> waiting;
  waiting.reserve((*result)->rows());
  for (std::size_t i = 0; i < (*result)->rows(); ++i) waiting.emplace_back((*result)->Text(i, 0));
  co_return waiting;
}

Task<absl::StatusOr<std::vector<std::pair<std::string, WaitingStore::OfflineMessage>>>>
PgWaitingStore::LoadRows(std::vector<RowKey> keys) {
  std::vector<std::string> owners;
  std::vector<std::int64_t> ids;
  for (RowKey& key : keys) {
    owners.push_back(std::move(key.owner));
    ids.push_back(static_cast<std::int64_t>(key.id));
  }
  std::vector<Param> params{Param::TextArray(owners), Param::IntArray(ids)};
  auto result = co_await pool_.Execute(
      0,
      "SELECT m.owner, m.id, m.received_at_ms, m.stanza FROM unnest($1::text[], $2::bigint[]) AS k (owner, "
      "id) "
      "JOIN offline_messages m ON m.owner = k.owner AND m.id = k.id AND m.given_at_ms IS NULL",
      std::move(params));
  if (!result.ok()) co_return result.status();
  std::vector<std::pair<std::string, OfflineMessage>> messages;
  messages.reserve((*result)->rows());
  for (std::size_t i = 0; i < (*result)->rows(); ++i) {
    OfflineMessage message;
    message.id = static_cast<std::uint64_t>((*result)->Int(i, 1));
    message.received_at_ms = (*result)->Int(i, 2);
    if (!message.stanza.ParseFromString((*result)->Bytes(i, 3))) continue;
    messages.emplace_back(std::string((*result)->Text(i, 0)), std::move(message));
  }
  co_return messages;
}

Task<absl::Status> PgWaitingStore::MarkOfflineGiven(std::string owner, std::vector<std::uint64_t> ids) {
  std::vector<Param> params{Param::Text(owner), Param::IntArray({ids.begin(), ids.end()})};
  // The mark needs no text any more.
  auto result = co_await pool_.Execute(LaneOf(owner),
                                       "UPDATE offline_messages SET stanza = '', "
                                       "given_at_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint "
                                       "WHERE owner = $1 AND id = ANY ($2::bigint[])",
                                       std::move(params));
  co_return result.status();
}

Task<absl::Status> PgWaitingStore::PurgeOfflineGiven(std::string owner, std::int64_t before_ms) {
  std::vector<Param> params{Param::Text(owner), Param::Int(before_ms)};
  auto result = co_await pool_.Execute(
      LaneOf(owner), "DELETE FROM offline_messages WHERE owner = $1 AND given_at_ms < $2::bigint",
      std::move(params));
  co_return result.status();
}

Task<absl::Status> PgWaitingStore::StorePackets(std::uint32_t shard, std::string owner, std::string session,
                                                std::vector<SessionPacket> packets) {
  std::vector<std::int64_t> seqs, offsets, offline_ids, flags, times;
  std::vector<std::string> stanzas;
  for (const SessionPacket& packet : packets) {
    seqs.push_back(static_cast<std::int64_t>(packet.seq));
    offsets.push_back(packet.offset);
    offline_ids.push_back(static_cast<std::int64_t>(packet.offline_id));
    flags.push_back((packet.primary ? 1 : 0) | (packet.to_each ? 2 : 0));
    times.push_back(packet.received_at_ms);
    stanzas.push_back(packet.stanza.SerializeAsString());
  }
  std::vector<Param> params{Param::Text(owner),     Param::Bytes(session),    Param::Int(shard),
                            Param::IntArray(seqs),  Param::IntArray(offsets), Param::IntArray(offline_ids),
                            Param::IntArray(flags), Param::IntArray(times),   Param::BytesArray(stanzas)};
  auto result = co_await pool_.Execute(
      LaneOf(owner),
      "INSERT INTO session_packets (owner, session_id, seq, shard, record_offset, offline_id, flags, "
      "received_at_ms, stanza) "
      "SELECT $1, $2, seq, $3::integer, record_offset, offline_id, flags, received_at_ms, stanza "
      "FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[]) "
      "AS t (seq, record_offset, offline_id, flags, received_at_ms, stanza) "
      "ON CONFLICT (owner, session_id, seq) DO NOTHING",
      std::move(params));
  co_return result.status();
}

Task<absl::Status> PgWaitingStore::RemovePackets(std::string owner, std::string session,
                                                 std::uint64_t up_to_seq) {
  std::vector<Param> params{Param::Text(owner), Param::Bytes(session), Id(up_to_seq)};
  auto result = co_await pool_.Execute(
      LaneOf(owner), "DELETE FROM session_packets WHERE owner = $1 AND session_id = $2 AND seq <= $3::bigint",
      std::move(params));
  co_return result.status();
}

Task<absl::Status> PgWaitingStore::Park(std::uint32_t shard, ParkedSession session) {
  std::vector<Param> params{Param::Text(session.owner), Param::Bytes(session.session), Param::Int(shard),
                            Param::Int(session.expires_at_ms),
                            Param::Bytes(session.attach.SerializeAsString())};
  auto result = co_await pool_.Execute(LaneOf(session.owner),
                                       "INSERT INTO parked_sessions (owner, session_id, shard, "
                                       "expires_at_ms, attach) VALUES ($1, $2, $3, $4, $5) "
                                       "ON CONFLICT (owner, session_id) DO UPDATE SET shard = "
                                       "EXCLUDED.shard, expires_at_ms = EXCLUDED.expires_at_ms, "
                                       "attach = EXCLUDED.attach",
                                       std::move(params));
  co_return result.status();
}

Task<absl::Status> PgWaitingStore::Unpark(std::string owner, std::string session) {
  std::vector<Param> params{Param::Text(owner), Param::Bytes(session)};
  auto result = co_await pool_.Execute(
      LaneOf(owner), "DELETE FROM parked_sessions WHERE owner = $1 AND session_id = $2", std::move(params));
  co_return result.status();
}

Task<absl::Status> PgWaitingStore::RemoveSession(std::string owner, std::string session) {
  std::vector<Param> params{Param::Text(owner), Param::Bytes(session)};
  auto result =
      co_await pool_.Execute(LaneOf(owner),
                             "WITH p AS (DELETE FROM session_packets WHERE owner = $1 AND session_id = $2) "
                             "DELETE FROM parked_sessions WHERE owner = $1 AND session_id = $2",
                             std::move(params));
  co_return result.status();
}

Task<absl::StatusOr<WaitingStore::Shard>> PgWaitingStore::LoadShard(std::uint32_t shard) {
  Shard loaded;
  std::vector<Param> params{Param::Int(shard)};
  auto sessions = co_await pool_.Execute(
      shard, "SELECT owner, session_id, expires_at_ms, attach FROM parked_sessions WHERE shard = $1",
      std::move(params));
  if (!sessions.ok()) co_return sessions.status();
  for (std::size_t i = 0; i < (*sessions)->rows(); ++i) {
    ParkedSession parked;
    parked.owner = (*sessions)->Text(i, 0);
    parked.session = (*sessions)->Bytes(i, 1);
    parked.expires_at_ms = (*sessions)->Int(i, 2);
    if (parked.attach.ParseFromString((*sessions)->Bytes(i, 3))) loaded.sessions.push_back(std::move(parked));
  }
  std::vector<Param> again{Param::Int(shard)};
  auto packets = co_await pool_.Execute(shard,
                                        "SELECT owner, session_id, seq, record_offset, offline_id, flags, "
                                        "received_at_ms, stanza FROM session_packets "
                                        "WHERE shard = $1 ORDER BY owner, session_id, seq",
                                        std::move(again));
  if (!packets.ok()) co_return packets.status();
  for (std::size_t i = 0; i < (*packets)->rows(); ++i) {
    const pg::Result& rows = **packets;
    Shard::Packet packet;
    packet.owner = rows.Text(i, 0);
    packet.session = rows.Bytes(i, 1);
    packet.packet.seq = static_cast<std::uint64_t>(rows.Int(i, 2));
    packet.packet.offset = rows.Int(i, 3);
    packet.packet.offline_id = static_cast<std::uint64_t>(rows.Int(i, 4));
    packet.packet.primary = (rows.Int(i, 5) & 1) != 0;
    packet.packet.to_each = (rows.Int(i, 5) & 2) != 0;
    packet.packet.received_at_ms = rows.Int(i, 6);
    if (packet.packet.stanza.ParseFromString(rows.Bytes(i, 7))) loaded.packets.push_back(std::move(packet));
  }
  co_return loaded;
}

}  // namespace rookery::session_manager
