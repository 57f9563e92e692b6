#include "adapters/pg_waiting_store.h"

#include <algorithm>
#include <functional>

namespace rookery::session_manager {

namespace {

using pg::Param;
using Keys = std::vector<WaitingStore::SessionKey>;

std::uint64_t LaneOf(std::string_view owner) { return std::hash<std::string_view>{}(owner); }
std::int64_t Signed(std::uint64_t id) { return static_cast<std::int64_t>(id); }
Param Rows(const WaitingStore::PageLimit& limit) { return Param::Int(static_cast<std::int64_t>(limit.rows)); }
Param Bytes(const WaitingStore::PageLimit& limit) {
  return Param::Int(static_cast<std::int64_t>(limit.bytes));
}

enum PacketFlag : std::int64_t { kPrimary = 1, kToEach = 2 };

/// Owners and ids of rows, as two arrays.
std::vector<Param> RowKeys(const std::vector<WaitingStore::RowKey>& keys) {
  std::vector<std::string> owners;
  std::vector<std::int64_t> ids;
  for (const auto& key : keys) {
    owners.push_back(key.owner);
    ids.push_back(Signed(key.id));
  }
  return {Param::TextArray(owners), Param::IntArray(ids)};
}

/// Owners and sessions, as two arrays, and the writer's epoch.
std::vector<Param> SessionKeys(const Keys& keys, std::int64_t epoch) {
  std::vector<std::string> owners, sessions;
  for (const auto& key : keys) {
    owners.push_back(key.owner);
    sessions.push_back(key.session);
  }
  return {Param::TextArray(owners), Param::BytesArray(sessions), Param::Int(epoch)};
}

/// Rows of both tables: owner, session, seq (-1: the session itself), offset, offline id, flags,
/// time, bytes.
absl::StatusOr<WaitingStore::Page> ReadPage(const pg::ResultOr& result) {
  if (!result.ok()) return result.status();
  const pg::Result& rows = **result;
  WaitingStore::Page page;
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    WaitingStore::Place place{{std::string(rows.Text(i, 0)), rows.Bytes(i, 1)}, rows.Int(i, 2)};
    if (place.seq < 0) {
      WaitingStore::ParkedSession parked;
      parked.key = place.session;
      parked.expires_at_ms = rows.Int(i, 6);
      if (parked.attach.ParseFromString(rows.Bytes(i, 7))) page.sessions.push_back(std::move(parked));
    } else {
      auto stanza = std::make_shared<xmpp::Stanza>();
      if (stanza->ParseFromString(rows.Bytes(i, 7))) {
        WaitingStore::PacketWrite& row = page.packets.emplace_back();
        row.session = place.session;
        row.packet.seq = static_cast<std::uint64_t>(place.seq);
        row.packet.offset = rows.Int(i, 3);
        row.packet.offline_id = static_cast<std::uint64_t>(rows.Int(i, 4));
        row.packet.primary = (rows.Int(i, 5) & kPrimary) != 0;
        row.packet.to_each = (rows.Int(i, 5) & kToEach) != 0;
        row.packet.received_at_ms = rows.Int(i, 6);
        row.packet.stanza = std::move(stanza);
      }
    }
    page.next = std::move(place);
  }
  return page;
}

}  // namespace

Task<absl::Status> PgWaitingStore::Execute(std::uint64_t lane, const char* sql, std::vector<Param> params) {
  auto result = co_await pool_.Execute(lane, sql, std::move(params));
  co_return result.status();
}

// ---- messages for users who are away ----------------------------------------

Task<absl::StatusOr<std::vector<WaitingStore::Stored>>> PgWaitingStore::StoreOffline(
    const std::vector<OfflineWrite>& rows) {
  std::vector<Stored> answers;
  if (rows.empty()) co_return answers;
  std::vector<std::string> owners, stanzas;
  std::vector<std::int64_t> ids, times, quotas;
  std::int64_t highest = 0;
  for (const OfflineWrite& row : rows) {
    owners.push_back(row.key.owner);
    ids.push_back(Signed(row.key.id));
    times.push_back(row.received_at_ms);
    stanzas.push_back(row.stanza->SerializeAsString());
    quotas.push_back(row.quota.value_or(-1));
    highest = std::max(highest, quotas.back());
  }
  std::vector<Param> params{Param::TextArray(owners),   Param::IntArray(ids),    Param::IntArray(times),
                            Param::BytesArray(stanzas), Param::IntArray(quotas), Param::Int(highest)};
  // Rows of one user are placed in the order given, behind what waits for that user already. A join
  // with LIMIT cannot become a scan of all accounts.
  auto result = co_await pool_.Execute(
      LaneOf(rows.front().key.owner),
      "WITH given AS MATERIALIZED (SELECT t.*, a.found IS NOT NULL AS known, m.found IS NOT NULL AS there "
      "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) WITH ORDINALITY "
      "AS t (owner, id, at_ms, stanza, quota, n) "
      "LEFT JOIN LATERAL (SELECT true AS found FROM accounts WHERE owner = t.owner LIMIT 1) AS a ON true "
      "LEFT JOIN LATERAL (SELECT true AS found FROM offline_messages WHERE owner = t.owner AND id = t.id "
      "LIMIT 1) AS m ON true), "
      "waiting AS (SELECT o.owner, (SELECT count(*) FROM (SELECT 1 FROM offline_messages m WHERE m.owner = "
      "o.owner AND m.given_at_ms IS NULL LIMIT $6::bigint) AS found) AS many "
      "FROM (SELECT DISTINCT owner FROM given WHERE known AND NOT there AND quota >= 0) AS o), "
      "placed AS (SELECT g.*, quota < 0 OR coalesce(w.many, 0) + row_number() OVER (PARTITION BY g.owner "
      "ORDER BY g.n) <= quota AS fits FROM given g LEFT JOIN waiting w USING (owner) "
      "WHERE g.known AND NOT g.there), "
      "stored AS (INSERT INTO offline_messages (owner, id, received_at_ms, stanza) "
      "SELECT owner, id, at_ms, stanza FROM placed WHERE fits ORDER BY owner, id "
      "ON CONFLICT (owner, id) DO NOTHING RETURNING owner, id) "
      "SELECT g.known, g.there, coalesce(p.fits, false), s.id IS NOT NULL FROM given g "
      "LEFT JOIN placed p USING (n) LEFT JOIN stored s ON s.owner = g.owner AND s.id = g.id ORDER BY g.n",
      std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& found = **result;
  if (found.rows() != rows.size()) co_return absl::InternalError("not one answer for each row");
  answers.reserve(rows.size());
  for (std::size_t i = 0; i < found.rows(); ++i) {
    const bool is_known = found.Bool(i, 0), is_there = found.Bool(i, 1), fits = found.Bool(i, 2),
               is_stored = found.Bool(i, 3);
    if (!is_known) {
      answers.push_back(Stored::kNoSuchUser);
    } else if (is_there) {
      answers.push_back(Stored::kAlreadyThere);
    } else if (is_stored) {
      answers.push_back(Stored::kStored);
    } else {
      // One that fits and was not stored has been stored by somebody else at the same moment.
      answers.push_back(fits ? Stored::kAlreadyThere : Stored::kQuotaReached);
    }
  }
  co_return answers;
}

Task<absl::Status> PgWaitingStore::MarkGiven(const std::vector<RowKey>& rows) {
  if (rows.empty()) co_return absl::OkStatus();
  // The mark needs no text any more.
  co_return co_await Execute(
      LaneOf(rows.front().owner),
      "INSERT INTO offline_messages (owner, id, received_at_ms, given_at_ms, stanza) "
      "SELECT DISTINCT t.owner, t.id, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, ''::bytea "
      "FROM unnest($1::text[], $2::bigint[]) AS t (owner, id) "
      "JOIN LATERAL (SELECT true FROM accounts WHERE owner = t.owner LIMIT 1) AS a ON true "
      "ON CONFLICT (owner, id) DO UPDATE SET stanza = EXCLUDED.stanza, given_at_ms = EXCLUDED.given_at_ms",
      RowKeys(rows));
}

Task<absl::Status> PgWaitingStore::PurgeGiven(const std::vector<std::string>& owners,
                                              std::int64_t before_ms) {
  if (owners.empty()) co_return absl::OkStatus();
  std::vector<Param> params{Param::TextArray(owners), Param::Int(before_ms)};
  co_return co_await Execute(
      LaneOf(owners.front()),
      "DELETE FROM offline_messages WHERE owner = ANY ($1::text[]) AND given_at_ms < $2::bigint",
      std::move(params));
}

Task<absl::StatusOr<std::vector<WaitingStore::OfflineMessage>>> PgWaitingStore::LoadOffline(
    std::string owner, std::uint64_t after, PageLimit limit) {
  std::vector<Param> params{Param::Text(owner), Param::Int(Signed(after)), Rows(limit), Bytes(limit)};
  auto result = co_await pool_.Execute(
      LaneOf(owner),
      "SELECT id, received_at_ms, stanza FROM (SELECT id, received_at_ms, stanza, "
      "sum(octet_length(stanza)) OVER (ORDER BY id) AS total FROM (SELECT id, received_at_ms, stanza "
      "FROM offline_messages WHERE owner = $1 AND id > $2::bigint AND given_at_ms IS NULL "
      "ORDER BY id LIMIT $3::bigint) AS found) AS sized "
      "WHERE total - octet_length(stanza) < $4::bigint ORDER BY id",
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
    const std::vector<std::string>& owners) {
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
PgWaitingStore::LoadRows(const std::vector<RowKey>& keys) {
  auto result = co_await pool_.Execute(
      0,
      "SELECT m.owner, m.id, m.received_at_ms, m.stanza FROM unnest($1::text[], $2::bigint[]) AS k (owner, "
      "id) "
      "JOIN offline_messages m ON m.owner = k.owner AND m.id = k.id AND m.given_at_ms IS NULL",
      RowKeys(keys));
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

// ---- sessions and their packets ---------------------------------------------

Task<absl::Status> PgWaitingStore::StorePackets(Writer writer, const std::vector<PacketWrite>& packets) {
  if (packets.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners, sessions, stanzas;
  std::vector<std::int64_t> seqs, offsets, offline_ids, flags, times;
  for (const PacketWrite& row : packets) {
    owners.push_back(row.session.owner);
    sessions.push_back(row.session.session);
    seqs.push_back(Signed(row.packet.seq));
    offsets.push_back(row.packet.offset);
    offline_ids.push_back(Signed(row.packet.offline_id));
    flags.push_back((row.packet.primary ? kPrimary : 0) | (row.packet.to_each ? kToEach : 0));
    times.push_back(row.packet.received_at_ms);
    stanzas.push_back(row.packet.stanza->SerializeAsString());
  }
  std::vector<Param> params{Param::TextArray(owners), Param::BytesArray(sessions),  Param::IntArray(seqs),
                            Param::IntArray(offsets), Param::IntArray(offline_ids), Param::IntArray(flags),
                            Param::IntArray(times),   Param::BytesArray(stanzas),   Param::Int(writer.shard),
                            Param::Int(writer.epoch)};
  co_return co_await Execute(
      LaneOf(packets.front().session.owner),
      "INSERT INTO session_packets AS p (owner, session_id, seq, shard, epoch, record_offset, offline_id, "
      "flags, received_at_ms, stanza) "
      "SELECT DISTINCT ON (owner, session_id, seq) owner, session_id, seq, $9::integer, $10::bigint, "
      "record_offset, offline_id, flags, received_at_ms, stanza "
      "FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], "
      "$7::bigint[], $8::bytea[]) WITH ORDINALITY "
      "AS t (owner, session_id, seq, record_offset, offline_id, flags, received_at_ms, stanza, n) "
      "ORDER BY owner, session_id, seq, n DESC "
      "ON CONFLICT (owner, session_id, seq) DO UPDATE SET shard = EXCLUDED.shard, epoch = EXCLUDED.epoch, "
      "record_offset = EXCLUDED.record_offset, offline_id = EXCLUDED.offline_id, flags = EXCLUDED.flags, "
      "received_at_ms = EXCLUDED.received_at_ms, stanza = EXCLUDED.stanza WHERE p.epoch <= EXCLUDED.epoch",
      std::move(params));
}

Task<absl::Status> PgWaitingStore::RemovePackets(Writer writer, const std::vector<PacketsUpTo>& packets) {
  if (packets.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners, sessions;
  std::vector<std::int64_t> seqs;
  for (const PacketsUpTo& row : packets) {
    owners.push_back(row.session.owner);
    sessions.push_back(row.session.session);
    seqs.push_back(Signed(row.seq));
  }
  std::vector<Param> params{Param::TextArray(owners), Param::BytesArray(sessions), Param::IntArray(seqs),
                            Param::Int(writer.epoch)};
  co_return co_await Execute(
      LaneOf(packets.front().session.owner),
      "DELETE FROM session_packets p USING unnest($1::text[], $2::bytea[], $3::bigint[]) AS t (owner, "
      "session_id, seq) WHERE p.owner = t.owner AND p.session_id = t.session_id AND p.seq <= t.seq "
      "AND p.epoch <= $4::bigint",
      std::move(params));
}

Task<absl::Status> PgWaitingStore::Park(Writer writer, const std::vector<ParkedSession>& sessions) {
  if (sessions.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners, ids, attachments;
  std::vector<std::int64_t> limits;
  for (const ParkedSession& session : sessions) {
    owners.push_back(session.key.owner);
    ids.push_back(session.key.session);
    limits.push_back(session.expires_at_ms);
    attachments.push_back(session.attach.SerializeAsString());
  }
  std::vector<Param> params{Param::TextArray(owners), Param::BytesArray(ids),
                            Param::IntArray(limits),  Param::BytesArray(attachments),
                            Param::Int(writer.shard), Param::Int(writer.epoch)};
  co_return co_await Execute(
      LaneOf(sessions.front().key.owner),
      "INSERT INTO parked_sessions AS p (owner, session_id, shard, epoch, expires_at_ms, attach) "
      "SELECT DISTINCT ON (owner, session_id) owner, session_id, $5::integer, $6::bigint, expires_at_ms, "
      "attach FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[]) WITH ORDINALITY "
      "AS t (owner, session_id, expires_at_ms, attach, n) ORDER BY owner, session_id, n DESC "
      "ON CONFLICT (owner, session_id) DO UPDATE SET shard = EXCLUDED.shard, epoch = EXCLUDED.epoch, "
      "expires_at_ms = EXCLUDED.expires_at_ms, attach = EXCLUDED.attach WHERE p.epoch <= EXCLUDED.epoch",
      std::move(params));
}

Task<absl::Status> PgWaitingStore::Unpark(Writer writer, const std::vector<SessionKey>& sessions) {
  if (sessions.empty()) co_return absl::OkStatus();
  co_return co_await Execute(LaneOf(sessions.front().owner),
                             "DELETE FROM parked_sessions p USING unnest($1::text[], $2::bytea[]) AS t "
                             "(owner, session_id) WHERE p.owner = t.owner AND p.session_id = t.session_id "
                             "AND p.epoch <= $3::bigint",
                             SessionKeys(sessions, writer.epoch));
}

Task<absl::Status> PgWaitingStore::RemoveSessions(Writer writer, const std::vector<SessionKey>& sessions) {
  if (sessions.empty()) co_return absl::OkStatus();
  co_return co_await Execute(
      LaneOf(sessions.front().owner),
      "WITH t AS (SELECT * FROM unnest($1::text[], $2::bytea[]) AS t (owner, session_id)), "
      "packets AS (DELETE FROM session_packets p USING t WHERE p.owner = t.owner "
      "AND p.session_id = t.session_id AND p.epoch <= $3::bigint) "
      "DELETE FROM parked_sessions s USING t WHERE s.owner = t.owner AND s.session_id = t.session_id "
      "AND s.epoch <= $3::bigint",
      SessionKeys(sessions, writer.epoch));
}

// ---- a change of owner ------------------------------------------------------

Task<absl::StatusOr<WaitingStore::Page>> PgWaitingStore::LoadPage(std::uint32_t shard, Place after,
                                                                  PageLimit limit) {
  std::vector<Param> params{Param::Text(after.session.owner),
                            Param::Bytes(after.session.session),
                            Param::Int(after.seq),
                            Rows(limit),
                            Bytes(limit),
                            Param::Int(shard)};
  auto result = co_await pool_.Execute(
      shard,
      "SELECT owner, session_id, seq, record_offset, offline_id, flags, at_ms, data FROM ("
      "SELECT *, sum(octet_length(data)) OVER (ORDER BY owner, session_id, seq) AS total FROM ("
      "(SELECT owner COLLATE \"C\" AS owner, session_id, -1::bigint AS seq, -1::bigint AS record_offset, "
      "0::bigint AS offline_id, 0::bigint AS flags, expires_at_ms AS at_ms, attach AS data "
      "FROM parked_sessions WHERE shard = $6::integer AND (owner COLLATE \"C\", session_id) > ($1, $2) "
      "ORDER BY owner COLLATE \"C\", session_id LIMIT $4::bigint) UNION ALL "
      "(SELECT owner COLLATE \"C\", session_id, seq, record_offset, offline_id, flags, received_at_ms, "
      "stanza FROM session_packets WHERE shard = $6::integer "
      "AND (owner COLLATE \"C\", session_id, seq) > ($1, $2, $3::bigint) "
      "ORDER BY owner COLLATE \"C\", session_id, seq LIMIT $4::bigint) "
      "ORDER BY owner, session_id, seq LIMIT $4::bigint) AS found) AS sized "
      "WHERE total - octet_length(data) < $5::bigint ORDER BY owner, session_id, seq",
      std::move(params));
  co_return ReadPage(result);
}

Task<absl::StatusOr<WaitingStore::Page>> PgWaitingStore::LoadUserPage(std::string owner, Place after,
                                                                      PageLimit limit) {
  const std::uint64_t lane = LaneOf(owner);
  std::vector<Param> params{Param::Text(owner), Param::Bytes(after.session.session), Param::Int(after.seq),
                            Rows(limit), Bytes(limit)};
  auto result = co_await pool_.Execute(
      lane,
      "SELECT owner, session_id, seq, record_offset, offline_id, flags, at_ms, data FROM ("
      "SELECT *, sum(octet_length(data)) OVER (ORDER BY session_id, seq) AS total FROM ("
      "(SELECT owner, session_id, -1::bigint AS seq, -1::bigint AS record_offset, 0::bigint AS offline_id, "
      "0::bigint AS flags, expires_at_ms AS at_ms, attach AS data FROM parked_sessions "
      "WHERE owner = $1 AND session_id > $2 ORDER BY session_id LIMIT $4::bigint) UNION ALL "
      "(SELECT owner, session_id, seq, record_offset, offline_id, flags, received_at_ms, stanza "
      "FROM session_packets WHERE owner = $1 AND (session_id, seq) > ($2, $3::bigint) "
      "ORDER BY session_id, seq LIMIT $4::bigint) "
      "ORDER BY session_id, seq LIMIT $4::bigint) AS found) AS sized "
      "WHERE total - octet_length(data) < $5::bigint ORDER BY session_id, seq",
      std::move(params));
  co_return ReadPage(result);
}

Task<absl::Status> PgWaitingStore::AdoptRows(Writer writer) {
  std::vector<Param> params{Param::Int(writer.shard), Param::Int(writer.epoch)};
  co_return co_await Execute(writer.shard,
                             "WITH p AS (UPDATE session_packets SET epoch = $2::bigint "
                             "WHERE shard = $1::integer AND epoch > $2::bigint) "
                             "UPDATE parked_sessions SET epoch = $2::bigint "
                             "WHERE shard = $1::integer AND epoch > $2::bigint",
                             std::move(params));
}

}  // namespace rookery::session_manager
