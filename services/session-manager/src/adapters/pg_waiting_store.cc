#include "adapters/pg_waiting_store.h"

#include <algorithm>

#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

namespace {

using pg::LaneOf;
using pg::Param;
using Keys = std::vector<WaitingStore::SessionKey>;

Param Rows(const WaitingStore::PageLimit& limit) { return Param::Int(static_cast<std::int64_t>(limit.rows)); }
Param Bytes(const WaitingStore::PageLimit& limit) {
  return Param::Int(static_cast<std::int64_t>(limit.bytes));
}

enum PacketFlag : std::int64_t { kPrimary = 1, kToEach = 2, kReached = 4 };

/// Owners and ids of rows, as two arrays.
std::vector<Param> RowKeys(const std::vector<WaitingStore::RowKey>& keys) {
  std::vector<std::string> owners;
  std::vector<std::uint64_t> ids;
  for (const auto& key : keys) {
    owners.push_back(key.owner);
    ids.push_back(key.id);
  }
  return {Param::TextArray(owners), Param::IdArray(ids)};
}

/// Owners and sessions, as two arrays.
std::vector<Param> SessionKeys(const Keys& keys) {
  std::vector<std::string> owners, sessions;
  for (const auto& key : keys) {
    owners.push_back(key.owner);
    sessions.push_back(key.session);
  }
  return {Param::TextArray(owners), Param::BytesArray(sessions)};
}

const pg::ClaimTable& Claims() {
  static const pg::ClaimTable kTable("shard_writers");
  return kTable;
}

const pg::CursorTable& Cursors() {
  static const pg::CursorTable kTable("shard_cursors");
  return kTable;
}

/// Rows of both tables: owner, session, seq (-1: the session itself), offset, offline id, flags,
/// time (of a session: what is left of it), bytes, other sessions.
absl::StatusOr<WaitingStore::Page> ReadPage(const pg::ResultOr& result) {
  if (!result.ok()) return result.status();
  const pg::Result& rows = **result;
  WaitingStore::Page page;
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    WaitingStore::Place place{{std::string(rows.Text(i, 0)), rows.Bytes(i, 1)}, rows.Int(i, 2)};
    if (place.seq < 0) {
      WaitingStore::ParkedSession parked;
      parked.key = place.session;
      parked.left = std::chrono::milliseconds(rows.Int(i, 6));
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
        row.packet.reached = (rows.Int(i, 5) & kReached) != 0;
        row.packet.received_at_ms = rows.Int(i, 6);
        row.packet.given_to = rows.Bytes(i, 8);
        row.packet.stanza = std::move(stanza);
      }
    }
    page.next = std::move(place);
  }
  return page;
}

}  // namespace

PgWaitingStore::PgWaitingStore(pg::Pool& pool, pg::Pool& loading_pool)
    : pool_(pool), loading_pool_(loading_pool), claims_(pool, Claims()), cursors_(pool, Cursors()) {}

Task<absl::Status> PgWaitingStore::Execute(std::uint64_t lane, const char* sql, std::vector<Param> params) {
  auto result = co_await pool_.Execute(lane, sql, std::move(params));
  co_return result.status();
}

// ---- messages for users who are away ----------------------------------------

Task<absl::StatusOr<std::vector<WaitingStore::Stored>>> PgWaitingStore::StoreOffline(
    const std::vector<OfflineWrite>& rows) {
  std::vector<Stored> answers;
  if (rows.empty()) co_return answers;
  std::vector<std::string> owners, senders, stanzas;
  std::vector<std::uint64_t> ids;
  std::vector<std::int64_t> times, most, most_bytes;
  std::int64_t highest = 0;
  for (const OfflineWrite& row : rows) {
    owners.push_back(row.key.owner);
    senders.emplace_back(xmpp::BareOf(row.stanza->from()));
    ids.push_back(row.key.id);
    times.push_back(row.received_at_ms);
    stanzas.push_back(row.stanza->SerializeAsString());
    most.push_back(row.quota ? row.quota->messages : -1);
    most_bytes.push_back(row.quota ? row.quota->bytes : 0);
    highest = std::max(highest, most.back());
  }
  std::vector<Param> params{Param::TextArray(owners),    Param::IdArray(ids),      Param::IntArray(times),
                            Param::BytesArray(stanzas),  Param::IntArray(most),    Param::Int(highest),
                            Param::IntArray(most_bytes), Param::TextArray(senders)};
  // Rows of one user are placed in the order given, behind what waits for that user already. A join
  // with LIMIT cannot become a scan of all accounts.
  auto result = co_await pool_.Execute(
      LaneOf(rows.front().key.owner),
      "WITH given AS MATERIALIZED (SELECT t.*, a.found IS NOT NULL AS known, m.found IS NOT NULL AS there "
      "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $7::bigint[], "
      "$8::text[]) WITH ORDINALITY AS t (owner, id, at_ms, stanza, most, most_bytes, sender, n) "
      "LEFT JOIN LATERAL (SELECT true AS found FROM accounts WHERE owner = t.owner LIMIT 1) AS a ON true "
      "LEFT JOIN LATERAL (SELECT true AS found FROM offline_messages WHERE owner = t.owner AND id = t.id "
      "LIMIT 1) AS m ON true), "
      "waiting AS (SELECT m.owner, m.sender, count(*) AS many, sum(octet_length(m.stanza)) AS bytes "
      "FROM (SELECT DISTINCT owner FROM given WHERE known AND NOT there AND most >= 0) AS o CROSS JOIN "
      "LATERAL "
      "(SELECT owner, sender, stanza FROM offline_messages WHERE owner = o.owner AND given_at_ms IS NULL "
      "LIMIT $6::bigint) AS m GROUP BY m.owner, m.sender), "
      "total AS (SELECT owner, sum(many) AS many, sum(bytes) AS bytes FROM waiting GROUP BY owner), "
      "placed AS (SELECT g.*, most < 0 OR (coalesce(t.many, 0) + coalesce(w.many, 0) "
      "+ row_number() OVER of_owner + row_number() OVER of_sender <= most "
      "AND coalesce(t.bytes, 0) + coalesce(w.bytes, 0) "
      "+ sum(octet_length(g.stanza)) OVER of_owner + sum(octet_length(g.stanza)) OVER of_sender <= "
      "most_bytes) "
      "AS fits FROM given g LEFT JOIN total t USING (owner) LEFT JOIN waiting w USING (owner, sender) "
      "WHERE g.known AND NOT g.there WINDOW of_owner AS (PARTITION BY g.owner ORDER BY g.n), "
      "of_sender AS (PARTITION BY g.owner, g.sender ORDER BY g.n)), "
      "stored AS (INSERT INTO offline_messages (owner, id, received_at_ms, stanza, sender) "
      "SELECT owner, id, at_ms, stanza, sender FROM placed WHERE fits ORDER BY owner, id "
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
  // The mark needs no text any more. Rows are told apart before they have a time: at the turn of a
  // millisecond the same row would be two.
  co_return co_await Execute(
      LaneOf(rows.front().owner),
      "INSERT INTO offline_messages (owner, id, received_at_ms, given_at_ms, stanza) "
      "SELECT t.owner, t.id, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, ''::bytea "
      "FROM (SELECT DISTINCT owner, id FROM unnest($1::text[], $2::bigint[]) AS k (owner, id)) AS t "
      "JOIN LATERAL (SELECT true FROM accounts WHERE owner = t.owner LIMIT 1) AS a ON true "
      "ON CONFLICT (owner, id) DO UPDATE SET stanza = EXCLUDED.stanza, given_at_ms = EXCLUDED.given_at_ms",
      RowKeys(rows));
}

Task<absl::Status> PgWaitingStore::PurgeGiven(const std::vector<std::string>& owners,
                                              std::chrono::milliseconds age, std::uint64_t up_to) {
  if (owners.empty()) co_return absl::OkStatus();
  std::vector<Param> params{Param::TextArray(owners), Param::Int(age.count()), Param::Id(up_to)};
  co_return co_await Execute(
      LaneOf(owners.front()),
      "DELETE FROM offline_messages WHERE owner = ANY ($1::text[]) AND given_at_ms < "
      "(extract(epoch FROM clock_timestamp()) * 1000)::bigint - $2::bigint AND id <= $3::bigint",
      std::move(params));
}

Task<absl::StatusOr<std::vector<WaitingStore::OfflineMessage>>> PgWaitingStore::LoadOffline(
    std::string owner, std::uint64_t after, PageLimit limit) {
  std::vector<Param> params{Param::Text(owner), Param::Id(after), Rows(limit), Bytes(limit)};
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

Task<absl::StatusOr<WaitingStore::FoundRows>> PgWaitingStore::LoadRows(const std::vector<RowKey>& keys,
                                                                       std::size_t bytes) {
  FoundRows page;
  if (keys.empty()) co_return page;
  std::vector<Param> params = RowKeys(keys);
  params.push_back(Param::Int(static_cast<std::int64_t>(bytes)));
  // A size is known without reading the stanza: only those of the page are read.
  auto result = co_await pool_.Execute(
      0,
      "WITH found AS (SELECT k.n, m.owner, m.id, octet_length(m.stanza) AS size "
      "FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS k (owner, id, n) "
      "JOIN offline_messages m ON m.owner = k.owner AND m.id = k.id AND m.given_at_ms IS NULL), "
      "sized AS (SELECT *, sum(size) OVER (ORDER BY n) - size AS before, count(*) OVER () AS many FROM "
      "found) "
      "SELECT m.owner, m.id, m.received_at_ms, m.stanza, s.n, s.many FROM sized s "
      "JOIN offline_messages m ON m.owner = s.owner AND m.id = s.id "
      "WHERE s.before < $3::bigint ORDER BY s.n",
      std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& found = **result;
  page.answered = keys.size();
  page.rows.reserve(found.rows());
  for (std::size_t i = 0; i < found.rows(); ++i) {
    if (i + 1 == found.rows() && found.Int(i, 5) > static_cast<std::int64_t>(found.rows()))
      page.answered = static_cast<std::size_t>(found.Int(i, 4));
    OfflineMessage message;
    message.id = static_cast<std::uint64_t>(found.Int(i, 1));
    message.received_at_ms = found.Int(i, 2);
    if (!message.stanza.ParseFromString(found.Bytes(i, 3))) continue;
    page.rows.emplace_back(std::string(found.Text(i, 0)), std::move(message));
  }
  co_return page;
}

// ---- sessions and their packets ---------------------------------------------

Task<absl::Status> PgWaitingStore::Change(Writer writer, std::uint64_t lane, const std::string& sql,
                                          std::vector<Param> params) {
  return claims_.Execute(writer.shard, writer.epoch, lane, sql.c_str(), std::move(params));
}

Task<absl::Status> PgWaitingStore::Claim(Writer writer) { return claims_.Claim(writer.shard, writer.epoch); }

Task<absl::StatusOr<std::int64_t>> PgWaitingStore::ClaimedBy(std::uint32_t shard) {
  return claims_.ClaimedBy(shard);
}

Task<absl::Status> PgWaitingStore::KeepCursor(Writer writer, std::int64_t cursor) {
  return cursors_.Keep(writer.shard, writer.epoch, cursor);
}

Task<absl::StatusOr<std::int64_t>> PgWaitingStore::FindCursor(std::uint32_t shard) {
  return cursors_.Find(shard);
}

Task<absl::Status> PgWaitingStore::StorePackets(Writer writer, const std::vector<PacketWrite>& packets) {
  if (packets.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners, sessions, stanzas, others;
  std::vector<std::uint64_t> seqs, offline_ids;
  std::vector<std::int64_t> offsets, flags, times;
  for (const PacketWrite& row : packets) {
    owners.push_back(row.session.owner);
    sessions.push_back(row.session.session);
    seqs.push_back(row.packet.seq);
    offsets.push_back(row.packet.offset);
    offline_ids.push_back(row.packet.offline_id);
    flags.push_back((row.packet.primary ? kPrimary : 0) | (row.packet.to_each ? kToEach : 0) |
                    (row.packet.reached ? kReached : 0));
    times.push_back(row.packet.received_at_ms);
    stanzas.push_back(row.packet.stanza->SerializeAsString());
    others.push_back(row.packet.given_to);
  }
  static const std::string kSql = Claims().UnderClaim(
      "done AS (INSERT INTO session_packets (owner, session_id, seq, shard, epoch, record_offset, "
      "offline_id, flags, received_at_ms, stanza, given_to) "
      "SELECT DISTINCT ON (owner, session_id, seq) owner, session_id, seq, $1::integer, $2::bigint, "
      "record_offset, offline_id, flags, received_at_ms, stanza, given_to "
      "FROM unnest($4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], "
      "$10::bigint[], $11::bytea[], $12::bytea[]) WITH ORDINALITY "
      "AS t (owner, session_id, seq, record_offset, offline_id, flags, received_at_ms, stanza, given_to, n) "
      "WHERE EXISTS (SELECT FROM claim) ORDER BY owner, session_id, seq, n DESC "
      "ON CONFLICT (owner, session_id, seq) DO UPDATE SET shard = EXCLUDED.shard, epoch = EXCLUDED.epoch, "
      "record_offset = EXCLUDED.record_offset, offline_id = EXCLUDED.offline_id, flags = EXCLUDED.flags, "
      "received_at_ms = EXCLUDED.received_at_ms, stanza = EXCLUDED.stanza, given_to = EXCLUDED.given_to)");
  std::vector<Param> params{Param::TextArray(owners), Param::BytesArray(sessions), Param::IdArray(seqs),
                            Param::IntArray(offsets), Param::IdArray(offline_ids), Param::IntArray(flags),
                            Param::IntArray(times),   Param::BytesArray(stanzas),  Param::BytesArray(others)};
  co_return co_await Change(writer, LaneOf(packets.front().session.owner), kSql, std::move(params));
}

Task<absl::Status> PgWaitingStore::RemovePackets(Writer writer, const std::vector<PacketsUpTo>& packets) {
  if (packets.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners, sessions;
  std::vector<std::uint64_t> seqs;
  for (const PacketsUpTo& row : packets) {
    owners.push_back(row.session.owner);
    sessions.push_back(row.session.session);
    seqs.push_back(row.seq);
  }
  static const std::string kSql = Claims().UnderClaim(
      "done AS (DELETE FROM session_packets p USING unnest($4::text[], $5::bytea[], $6::bigint[]) AS t "
      "(owner, "
      "session_id, seq) WHERE EXISTS (SELECT FROM claim) AND p.owner = t.owner "
      "AND p.session_id = t.session_id AND p.seq <= t.seq)");
  std::vector<Param> params{Param::TextArray(owners), Param::BytesArray(sessions), Param::IdArray(seqs)};
  co_return co_await Change(writer, LaneOf(packets.front().session.owner), kSql, std::move(params));
}

Task<absl::Status> PgWaitingStore::Park(Writer writer, const std::vector<ParkedSession>& sessions) {
  if (sessions.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners, ids, attachments;
  std::vector<std::int64_t> left;
  for (const ParkedSession& session : sessions) {
    owners.push_back(session.key.owner);
    ids.push_back(session.key.session);
    left.push_back(session.left.count());
    attachments.push_back(session.attach.SerializeAsString());
  }
  static const std::string kSql = Claims().UnderClaim(
      "done AS (INSERT INTO parked_sessions (owner, session_id, shard, epoch, expires_at_ms, attach) "
      "SELECT DISTINCT ON (owner, session_id) owner, session_id, $1::integer, $2::bigint, "
      "(extract(epoch FROM clock_timestamp()) * 1000)::bigint + left_ms, attach FROM unnest($4::text[], "
      "$5::bytea[], $6::bigint[], $7::bytea[]) WITH ORDINALITY "
      "AS t (owner, session_id, left_ms, attach, n) "
      "WHERE EXISTS (SELECT FROM claim) ORDER BY owner, session_id, n DESC "
      "ON CONFLICT (owner, session_id) DO UPDATE SET shard = EXCLUDED.shard, epoch = EXCLUDED.epoch, "
      "expires_at_ms = EXCLUDED.expires_at_ms, attach = EXCLUDED.attach)");
  std::vector<Param> params{Param::TextArray(owners), Param::BytesArray(ids), Param::IntArray(left),
                            Param::BytesArray(attachments)};
  co_return co_await Change(writer, LaneOf(sessions.front().key.owner), kSql, std::move(params));
}

Task<absl::Status> PgWaitingStore::Unpark(Writer writer, const std::vector<SessionKey>& sessions) {
  if (sessions.empty()) co_return absl::OkStatus();
  static const std::string kSql = Claims().UnderClaim(
      "done AS (DELETE FROM parked_sessions p USING unnest($4::text[], $5::bytea[]) AS t (owner, session_id) "
      "WHERE EXISTS (SELECT FROM claim) AND p.owner = t.owner AND p.session_id = t.session_id)");
  co_return co_await Change(writer, LaneOf(sessions.front().owner), kSql, SessionKeys(sessions));
}

Task<absl::Status> PgWaitingStore::RemoveSessions(Writer writer, const std::vector<SessionKey>& sessions) {
  if (sessions.empty()) co_return absl::OkStatus();
  static const std::string kSql = Claims().UnderClaim(
      "t AS (SELECT * FROM unnest($4::text[], $5::bytea[]) AS t (owner, session_id) "
      "WHERE EXISTS (SELECT FROM claim)), "
      "packets AS (DELETE FROM session_packets p USING t WHERE p.owner = t.owner "
      "AND p.session_id = t.session_id), "
      "done AS (DELETE FROM parked_sessions s USING t WHERE s.owner = t.owner "
      "AND s.session_id = t.session_id)");
  co_return co_await Change(writer, LaneOf(sessions.front().owner), kSql, SessionKeys(sessions));
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
  auto result = co_await loading_pool_.Execute(
      shard,
      "SELECT owner, session_id, seq, record_offset, offline_id, flags, at_ms, data, given_to FROM ("
      "SELECT *, sum(octet_length(data)) OVER (ORDER BY owner, session_id, seq) AS total FROM ("
      "(SELECT owner COLLATE \"C\" AS owner, session_id, -1::bigint AS seq, -1::bigint AS record_offset, "
      "0::bigint AS offline_id, 0::bigint AS flags, "
      "expires_at_ms - (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at_ms, attach AS data, "
      "''::bytea AS given_to FROM parked_sessions WHERE shard = $6::integer AND (owner COLLATE \"C\", "
      "session_id) > ($1, $2) "
      "ORDER BY owner COLLATE \"C\", session_id LIMIT $4::bigint) UNION ALL "
      "(SELECT owner COLLATE \"C\", session_id, seq, record_offset, offline_id, flags, received_at_ms, "
      "stanza, given_to FROM session_packets WHERE shard = $6::integer "
      "AND (owner COLLATE \"C\", session_id, seq) > ($1, $2, $3::bigint) "
      "ORDER BY owner COLLATE \"C\", session_id, seq LIMIT $4::bigint) "
      "ORDER BY owner, session_id, seq LIMIT $4::bigint) AS found) AS sized "
      "WHERE total - octet_length(data) < $5::bigint ORDER BY owner, session_id, seq",
      std::move(params));
  co_return ReadPage(result);
}

}  // namespace rookery::session_manager
