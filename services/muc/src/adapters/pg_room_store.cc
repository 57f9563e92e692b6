#include "adapters/pg_room_store.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "domain/room/room_listing.h"
#include "rookery/base/random.h"
#include "rookery/base/sha256.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

namespace {

constexpr std::size_t kSecretBytes = 32;

using pg::LaneOf;
using pg::Param;

const pg::ClaimTable& Claims() {
  static const pg::ClaimTable kTable("muc_shard_writers");
  return kTable;
}

const pg::CursorTable& Cursors() {
  static const pg::CursorTable kTable("muc_shard_cursors");
  return kTable;
}

/// Returns the address of one who has an affiliation, as a part of keys. A room's name has 1023 bytes and the
/// account of another server 2047, which together are more than an index takes.
std::string KeyOf(std::string_view jid) {
  if (jid.size() <= 1'023) return std::string(jid);
  const Sha256Digest digest = Sha256(jid);
  const std::string bytes(digest.begin(), digest.end());
  return absl::StrCat("sha256:", absl::BytesToHexString(bytes));  // no address has such a colon
}

// ---- what a Save says -------------------------------------------------------

// Statements that change rooms, under a claim ($1 to $3), mostly with the room as $4.

// No row is changed twice by one statement: what is written is not among what is deleted.
#define ROOKERY_WRITTEN                                                                                      \
  "room AS (INSERT INTO muc_rooms (room, epoch, applied, state, service, is_persistent, is_listed, name, "   \
  "description, lang, minus_occupants, is_open, is_anonymous, search_name, search_description, "             \
  "search_address, bytes, creator) SELECT $4::text, $2::bigint, $5::bigint, $6::bytea, $7::text, "           \
  "$8::boolean, $9::boolean, "                                                                               \
  "$10::text, $11::text, $12::text, $13::bigint, $14::boolean, $15::boolean, $16::text, $17::text, "         \
  "$18::text, $26::bigint, $27::text FROM claim ON CONFLICT (room) DO UPDATE SET epoch = EXCLUDED.epoch, "   \
  "applied = EXCLUDED.applied, state = EXCLUDED.state, service = EXCLUDED.service, "                         \
  "is_persistent = EXCLUDED.is_persistent, is_listed = EXCLUDED.is_listed, name = EXCLUDED.name, "           \
  "description = EXCLUDED.description, lang = EXCLUDED.lang, minus_occupants = EXCLUDED.minus_occupants, "   \
  "is_open = EXCLUDED.is_open, is_anonymous = EXCLUDED.is_anonymous, search_name = EXCLUDED.search_name, "   \
  "search_description = EXCLUDED.search_description, search_address = EXCLUDED.search_address, bytes = "     \
  "EXCLUDED.bytes, "                                                                                         \
  "creator = EXCLUDED.creator), "                                                                            \
  "affiliations AS (INSERT INTO muc_affiliations (room, jid, affiliation, entry) "                           \
  "SELECT $4::text, t.jid, t.affiliation::smallint, t.entry FROM claim, "                                    \
  "unnest($19::text[], $20::bigint[], $21::bytea[]) AS t (jid, affiliation, entry) "                         \
  "ON CONFLICT (room, jid) DO UPDATE SET affiliation = EXCLUDED.affiliation, entry = EXCLUDED.entry), "      \
  "occupants AS (INSERT INTO muc_occupants (room, nick, occupant) "                                          \
  "SELECT $4::text, t.nick, t.occupant FROM claim, unnest($22::text[], $23::bytea[]) AS t (nick, occupant) " \
  "ON CONFLICT (room, nick) DO UPDATE SET occupant = EXCLUDED.occupant), "                                   \
  "history AS (INSERT INTO muc_history (room, archive_id, message) "                                         \
  "SELECT $4::text, t.id, t.message FROM claim, unnest($24::bigint[], $25::bytea[]) AS t (id, message) "     \
  "ON CONFLICT (room, archive_id) DO UPDATE SET message = EXCLUDED.message), "

const std::string& UpdateSql() {
  static const std::string kSql = Claims().UnderClaim(
      ROOKERY_WRITTEN
      "no_affiliations AS (DELETE FROM muc_affiliations WHERE EXISTS (SELECT FROM claim) AND room = $4::text "
      "AND jid = ANY ($28::text[])), "
      "no_occupants AS (DELETE FROM muc_occupants WHERE EXISTS (SELECT FROM claim) AND room = $4::text "
      "AND nick = ANY ($29::text[])), "
      "no_history AS (DELETE FROM muc_history WHERE EXISTS (SELECT FROM claim) AND room = $4::text "
      "AND archive_id < $30::bigint)");
  return kSql;
}

const std::string& CreateSql() {
  static const std::string kSql = Claims().UnderClaim(
      ROOKERY_WRITTEN
      "not_destroyed AS (DELETE FROM muc_destroyed_rooms WHERE EXISTS (SELECT FROM claim) "
      "AND room = $4::text), "
      "no_affiliations AS (DELETE FROM muc_affiliations WHERE EXISTS (SELECT FROM claim) AND room = $4::text "
      "AND jid <> ALL ($19::text[])), "
      "no_occupants AS (DELETE FROM muc_occupants WHERE EXISTS (SELECT FROM claim) AND room = $4::text "
      "AND nick <> ALL ($22::text[])), "
      "no_history AS (DELETE FROM muc_history WHERE EXISTS (SELECT FROM claim) AND room = $4::text "
      "AND archive_id <> ALL ($24::bigint[]))");
  return kSql;
}

const std::string& DestroySql() {
  static const std::string kSql = Claims().UnderClaim(
      "destroyed AS (INSERT INTO muc_destroyed_rooms (room, shard, epoch, applied) "
      "SELECT $4::text, $1::integer, $2::bigint, $5::bigint FROM claim "
      "ON CONFLICT (room) DO UPDATE SET shard = EXCLUDED.shard, epoch = EXCLUDED.epoch, "
      "applied = EXCLUDED.applied), "
      "no_room AS (DELETE FROM muc_rooms WHERE EXISTS (SELECT FROM claim) AND room = $4::text), "
      "no_affiliations AS (DELETE FROM muc_affiliations WHERE EXISTS (SELECT FROM claim) AND room = "
      "$4::text), "
      "no_occupants AS (DELETE FROM muc_occupants WHERE EXISTS (SELECT FROM claim) AND room = $4::text), "
      "no_history AS (DELETE FROM muc_history WHERE EXISTS (SELECT FROM claim) AND room = $4::text)");
  return kSql;
}

const std::string& ForgetDestroyedSql() {
  static const std::string kSql = Claims().UnderClaim(
      "forgotten AS (DELETE FROM muc_destroyed_rooms WHERE EXISTS (SELECT FROM claim) "
      "AND shard = $1::integer AND applied < $4::bigint)");
  return kSql;
}

/// $5 to $27, of what has changed.
void AddWritten(const RoomChanges& changes, std::vector<Param>& params, std::vector<std::string>& forgotten,
                std::vector<std::string>& gone) {
  const RoomListing listing = ListingOf(changes);
  params.push_back(Param::Int(changes.applied));
  params.push_back(Param::Bytes(changes.state.SerializeAsString()));
  params.push_back(Param::Text(listing.service));
  params.push_back(Param::Bool(listing.is_persistent));
  params.push_back(Param::Bool(listing.is_listed));
  params.push_back(Param::Text(listing.shown.name));
  params.push_back(Param::Text(listing.shown.description));
  params.push_back(Param::Text(listing.shown.lang));
  params.push_back(Param::Int(-listing.shown.occupants));
  params.push_back(Param::Bool(listing.shown.is_open));
  params.push_back(Param::Bool(listing.shown.is_anonymous));
  params.push_back(Param::Text(listing.search_name));
  params.push_back(Param::Text(listing.search_description));
  params.push_back(Param::Text(listing.search_address));

  // A statement may not write one row twice.
  std::map<std::string, const v1::Affiliated*> affiliations;
  for (const std::string& jid : changes.forgotten_affiliations) affiliations[KeyOf(jid)] = nullptr;
  for (const v1::Affiliated& entry : changes.affiliations) {
    const bool is_kept =
        entry.affiliation() != v1::AFFILIATION_NONE || !entry.nick().empty() || entry.version() != 0;
    affiliations[KeyOf(entry.jid())] = is_kept ? &entry : nullptr;
  }
  std::vector<std::string> jids, entries;
  std::vector<std::int64_t> kinds;
  for (const auto& [key, entry] : affiliations) {
    if (entry == nullptr) {
      forgotten.push_back(key);
      continue;
    }
    jids.push_back(key);
    kinds.push_back(entry->affiliation());
    entries.push_back(entry->SerializeAsString());
  }
  params.push_back(Param::TextArray(jids));
  params.push_back(Param::IntArray(kinds));
  params.push_back(Param::BytesArray(entries));

  std::map<std::string_view, const v1::Occupant*> occupants;
  for (const std::string& nick : changes.gone_nicks) occupants[nick] = nullptr;
  for (const v1::Occupant& occupant : changes.occupants) occupants[occupant.nick()] = &occupant;
  std::vector<std::string> nicks, rows;
  for (const auto& [nick, occupant] : occupants) {
    if (occupant == nullptr) {
      gone.emplace_back(nick);
      continue;
    }
    nicks.emplace_back(nick);
    rows.push_back(occupant->SerializeAsString());
  }
  params.push_back(Param::TextArray(nicks));
  params.push_back(Param::BytesArray(rows));

  std::map<std::uint64_t, const v1::PastMessage*> history;
  for (const v1::PastMessage& message : changes.history)
    if (message.archive_id() >= changes.history_from) history[message.archive_id()] = &message;
  std::vector<std::uint64_t> ids;
  std::vector<std::string> messages;
  for (const auto& [id, message] : history) {
    ids.push_back(id);
    messages.push_back(message->SerializeAsString());
  }
  params.push_back(Param::IdArray(ids));
  params.push_back(Param::BytesArray(messages));
  params.push_back(Param::Int(changes.bytes));
  params.push_back(Param::Text(KeyOf(changes.state.creator())));
}

// ---- what is loaded ---------------------------------------------------------

/// One statement, so one snapshot: no Save comes between the parts of a room. $2: how many bytes of rooms at
/// most, but for the first one.
constexpr char kLoad[] =
    "WITH asked AS MATERIALIZED (SELECT a.room, a.place, sum(coalesce(r.bytes, 0)) OVER (ORDER BY a.place) "
    "AS bytes FROM unnest($1::text[]) WITH ORDINALITY AS a (room, place) "
    "LEFT JOIN muc_rooms AS r ON r.room = a.room), "
    "page AS MATERIALIZED (SELECT coalesce(array_agg(room), '{}') AS rooms FROM asked "
    "WHERE place = 1 OR bytes <= $2::bigint) "
    "SELECT kind, room, number, epoch, data FROM ("
    "SELECT -1 AS kind, '' AS room, cardinality(rooms) AS number, 0 AS epoch, ''::bytea AS data, '' AS key "
    "FROM page UNION ALL "
    "SELECT 0, room, applied, epoch, state, '' "
    "FROM muc_rooms WHERE room = ANY ((SELECT rooms FROM page)::text[]) UNION ALL "
    "SELECT 1, room, 0, 0, entry, jid "
    "FROM muc_affiliations WHERE room = ANY ((SELECT rooms FROM page)::text[]) UNION ALL "
    "SELECT 2, room, 0, 0, occupant, nick "
    "FROM muc_occupants WHERE room = ANY ((SELECT rooms FROM page)::text[]) UNION ALL "
    "SELECT 3, room, archive_id, 0, message, '' "
    "FROM muc_history WHERE room = ANY ((SELECT rooms FROM page)::text[]) UNION ALL "
    "SELECT 4, room, applied, epoch, '', '' "
    "FROM muc_destroyed_rooms WHERE room = ANY ((SELECT rooms FROM page)::text[])"
    ") AS found ORDER BY kind, room, number, key";

template <typename Message>
bool AddTo(std::vector<Message>& messages, const std::string& bytes) {
  return messages.emplace_back().ParseFromString(bytes);
}

absl::StatusOr<RoomStore::Loaded> ReadRooms(const pg::Result& rows) {
  RoomStore::Loaded loaded;
  std::vector<StoredRoom>& rooms = loaded.rooms;
  std::map<std::string, std::size_t, std::less<>> places;
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    const std::int64_t kind = rows.Int(i, 0);
    const std::string_view name = rows.Text(i, 1);
    const std::string data = rows.Bytes(i, 4);
    bool is_read = false;
    if (kind == -1) {
      loaded.looked_for = static_cast<std::size_t>(rows.Int(i, 2));
      is_read = true;
    } else if (kind == 0) {
      places.emplace(name, rooms.size());
      StoredRoom& room = rooms.emplace_back();
      room.room = name;
      room.applied = rows.Int(i, 2);
      room.epoch = rows.Int(i, 3);
      is_read = room.state.ParseFromString(data);
    } else if (kind == 4) {
      is_read = true;
      // One that was made again is there.
      if (places.contains(name)) continue;
      StoredRoom& room = rooms.emplace_back();
      room.room = name;
      room.applied = rows.Int(i, 2);
      room.epoch = rows.Int(i, 3);
      room.is_destroyed = true;
    } else if (const auto place = places.find(name); place != places.end()) {
      StoredRoom& room = rooms[place->second];
      if (kind == 1) is_read = AddTo(room.affiliations, data);
      if (kind == 2) is_read = AddTo(room.occupants, data);
      if (kind == 3) is_read = AddTo(room.history, data);
    }
    if (!is_read) return absl::DataLossError("a room cannot be read");
  }
  return loaded;
}

}  // namespace

PgRoomStore::PgRoomStore(pg::Pool& pool, pg::Pool& reading_pool, pg::Pool& list_pool, const Clock& clock)
    : pool_(pool),
      reading_pool_(reading_pool),
      claims_(pool, Claims()),
      cursors_(pool, Cursors()),
      list_(list_pool, clock) {}

// ---- claims -----------------------------------------------------------------

Task<absl::Status> PgRoomStore::Claim(std::uint32_t shard, std::int64_t epoch) {
  return claims_.Claim(shard, epoch);
}

Task<absl::StatusOr<std::int64_t>> PgRoomStore::ClaimedBy(std::uint32_t shard) {
  return claims_.ClaimedBy(shard);
}

Task<absl::Status> PgRoomStore::KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) {
  return cursors_.Keep(shard, epoch, cursor);
}

Task<absl::StatusOr<std::int64_t>> PgRoomStore::FindCursor(std::uint32_t shard) {
  return cursors_.Find(shard);
}

// ---- rooms ------------------------------------------------------------------

Task<absl::Status> PgRoomStore::Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) {
  std::vector<Param> params{Param::Text(changes.room)};
  const std::string* sql = &DestroySql();
  if (changes.is_destroyed) {
    params.push_back(Param::Int(changes.applied));
  } else {
    std::vector<std::string> forgotten, gone;
    AddWritten(changes, params, forgotten, gone);
    sql = &CreateSql();
    if (!changes.is_new) {
      sql = &UpdateSql();
      params.push_back(Param::TextArray(forgotten));
      params.push_back(Param::TextArray(gone));
      params.push_back(Param::Id(changes.history_from));
    }
  }
  const absl::Status saved =
      co_await claims_.Execute(shard, epoch, LaneOf(changes.room), sql->c_str(), std::move(params));
  co_return saved;
}

Task<absl::Status> PgRoomStore::ForgetDestroyed(std::uint32_t shard, std::int64_t epoch,
                                                std::int64_t cursor) {
  std::vector<Param> params{Param::Int(cursor)};
  return claims_.Execute(shard, epoch, shard, ForgetDestroyedSql().c_str(), std::move(params));
}

Task<absl::StatusOr<RoomStore::Loaded>> PgRoomStore::Load(std::uint32_t shard, std::vector<std::string> rooms,
                                                          std::size_t max_bytes) {
  if (rooms.size() > kMaxLoaded) co_return absl::InvalidArgumentError("too many rooms at a time");
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
  std::vector<Param> params{Param::TextArray(rooms),
                            Param::Int(static_cast<std::int64_t>(std::min(max_bytes, kMost)))};
  const pg::ResultOr result = co_await reading_pool_.Execute(shard, kLoad, std::move(params));
  if (!result.ok()) co_return result.status();
  co_return ReadRooms(**result);
}

Task<absl::StatusOr<RoomPage>> PgRoomStore::List(RoomQuery query) { return list_.Read(std::move(query)); }

Task<absl::StatusOr<std::string>> PgRoomStore::Secret() {
  std::vector<Param> params{Param::Bytes(RandomBytes(kSecretBytes))};
  // One of those who ask at the same time is the first; the update makes the row the others' answer, too.
  const pg::ResultOr result =
      co_await pool_.Execute(0,
                             "INSERT INTO muc_secrets (name, secret) VALUES ('occupant-ids', $1) "
                             "ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING secret",
                             std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->Bytes(0, 0);
}

Task<absl::StatusOr<bool>> PgRoomStore::Reserve(std::string room, std::string creator, std::int64_t most) {
  const std::string key = KeyOf(creator);
  const std::uint64_t lane = LaneOf(key);
  const std::string service(xmpp::DomainOf(room));
  // Two at the same time count each other: together they are not too many.
  std::vector<Param> reserved{Param::Text(key), Param::Text(room), Param::Text(service)};
  const pg::ResultOr reservation = co_await reading_pool_.Execute(
      lane,
      "WITH old AS (DELETE FROM muc_reserved_rooms WHERE creator = $1::text AND room <> $2::text "
      "AND reserved_at < now() - interval '1 minute') "
      "INSERT INTO muc_reserved_rooms (creator, room, service) VALUES ($1::text, $2::text, $3::text) "
      "ON CONFLICT (creator, room) DO UPDATE SET reserved_at = now()",
      std::move(reserved));
  if (!reservation.ok()) co_return reservation.status();
  std::vector<Param> counted{Param::Text(key), Param::Text(service)};
  const pg::ResultOr count = co_await reading_pool_.Execute(
      lane,
      "SELECT count(*) FROM (SELECT room FROM muc_rooms WHERE creator = $1::text AND creator <> '' "
      "AND service = $2::text UNION SELECT room FROM muc_reserved_rooms WHERE creator = $1::text "
      "AND service = $2::text AND reserved_at >= now() - interval '1 minute') AS made",
      std::move(counted));
  if (!count.ok()) co_return count.status();
  if ((*count)->Int(0, 0) <= most) co_return true;
  std::vector<Param> given_up{Param::Text(key), Param::Text(room)};
  const pg::ResultOr gone = co_await reading_pool_.Execute(
      lane, "DELETE FROM muc_reserved_rooms WHERE creator = $1::text AND room = $2::text",
      std::move(given_up));
  if (!gone.ok()) co_return gone.status();
  co_return false;
}

}  // namespace rookery::muc
