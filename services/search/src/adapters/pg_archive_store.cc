#include "adapters/pg_archive_store.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "rookery/base/status.h"
#include "rookery/xmpp/jid.h"

namespace rookery::search {

namespace {

using pg::LaneOf;
using pg::Param;

constexpr std::size_t kMostMadePeriods = 1'000;

const pg::ClaimTable& Claims() {
  static const pg::ClaimTable kTable("search_shard_writers");
  return kTable;
}

const pg::CursorTable& Cursors() {
  static const pg::CursorTable kTable("search_shard_cursors");
  return kTable;
}

Param Size(std::size_t number) {
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
  return Param::Int(static_cast<std::int64_t>(std::min(number, kMost)));
}

#define ROOKERY_KEPT "(SELECT kept_from_ms FROM search_archive_retention)"

// The newest row of a name: its position and time, or NULL. No other index than the one of ids has the
// digest, and that of positions cannot be followed, as it could for the highest one.
#define ROOKERY_NAMED(owner, owner_key, id, generation)                                                   \
  "SELECT max(ARRAY[position, received_at_ms]) AS place FROM search_archive WHERE owner_key = " owner_key \
  " AND archive_id = " id " AND owner || '' = " owner " AND generation = " generation                     \
  " AND received_at_ms >= " ROOKERY_KEPT

// ---- what is written --------------------------------------------------------

/// Answers with the keys of the rows that were not there, and with the time from which on rows are kept.
const std::string& AppendSql() {
  static const std::string kSql = Claims().UnderClaim(
      "kept AS MATERIALIZED (SELECT kept_from_ms FROM search_archive_retention), "
      "stored AS (INSERT INTO search_archive (owner, owner_key, position, archive_id, received_at_ms, "
      "generation, peer, peer_resource, with_bare, with_full, direction, kind, origin_topic, "
      "origin_partition, origin_offset, stanza) SELECT owner, owner_key, position, id, at_ms, generation, "
      "peer, resource, with_bare, CASE WHEN resource <> '' THEN with_full END, direction::smallint, "
      "kind::smallint, topic::smallint, part::integer, record_offset, stanza "
      "FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], "
      "$10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], "
      "$17::bigint[], $18::bigint[], $19::bytea[]) WITH ORDINALITY AS t (owner, owner_key, position, id, "
      "at_ms, generation, peer, resource, with_bare, with_full, direction, kind, topic, part, record_offset, "
      "stanza, n) "
      "WHERE EXISTS (SELECT FROM claim) AND at_ms >= (SELECT kept_from_ms FROM kept) ORDER BY owner, n "
      "ON CONFLICT (owner_key, archive_id, received_at_ms) DO NOTHING "
      "RETURNING owner, archive_id, received_at_ms)",
      "SELECT k.kept_from_ms, s.* FROM kept k LEFT JOIN stored s ON true");
  return kSql;
}

std::vector<Param> AppendParams(const std::vector<const ArchivedMessage*>& rows) {
  std::vector<std::string> owners, peers, resources, stanzas;
  std::vector<std::uint64_t> ids, generations;
  std::vector<std::int64_t> owner_keys, positions, times, bare_keys, full_keys, directions, kinds, topics,
      partitions, offsets;
  for (const ArchivedMessage* row : rows) {
    owners.push_back(row->owner);
    owner_keys.push_back(OwnerKeyOf(row->owner));
    positions.push_back(row->position);
    ids.push_back(row->id);
    times.push_back(row->received_at_ms);
    generations.push_back(row->generation);
    peers.push_back(row->peer);
    resources.push_back(row->peer_resource);
    bare_keys.push_back(WithKeyOf(row->owner, row->peer));
    full_keys.push_back(WithKeyOf(row->owner, row->peer, row->peer_resource));
    directions.push_back(static_cast<std::int64_t>(row->direction));
    kinds.push_back(static_cast<std::int64_t>(row->kind));
    topics.push_back(row->origin.topic);
    partitions.push_back(row->origin.partition);
    offsets.push_back(row->origin.offset);
    stanzas.push_back(row->stanza);
  }
  return {Param::TextArray(owners),   Param::IntArray(owner_keys), Param::IntArray(positions),
          Param::IdArray(ids),        Param::IntArray(times),      Param::IdArray(generations),
          Param::TextArray(peers),    Param::TextArray(resources), Param::IntArray(bare_keys),
          Param::IntArray(full_keys), Param::IntArray(directions), Param::IntArray(kinds),
          Param::IntArray(topics),    Param::IntArray(partitions), Param::IntArray(offsets),
          Param::BytesArray(stanzas)};
}

const std::string& ReplaceSql() {
  static const std::string kSql = Claims().UnderClaim(
      "given AS MATERIALIZED (SELECT * FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], "
      "$8::bytea[]) WITH ORDINALITY AS t (owner, owner_key, id, generation, stanza, n) "
      "WHERE EXISTS (SELECT FROM claim)), "
      "found AS MATERIALIZED (SELECT g.n, g.owner, g.stanza, m.place[1] AS position, "
      "m.place[2] AS received_at_ms FROM given g CROSS JOIN LATERAL (" ROOKERY_NAMED(
          "g.owner", "g.owner_key", "g.id",
          "g.generation") ") AS m), "
                          "done AS (UPDATE search_archive a SET stanza = f.stanza FROM found f "
                          "WHERE a.owner = f.owner AND a.position = f.position "
                          "AND a.received_at_ms = f.received_at_ms "
                          "RETURNING f.n, a.owner, a.position, a.received_at_ms), "
                          // Nobody finds it by what it said.
                          "no_words AS (DELETE FROM search_archive_words w USING done d "
                          "WHERE w.owner = d.owner AND w.position = d.position "
                          "AND w.received_at_ms = d.received_at_ms)",
      "SELECT n FROM done");
  return kSql;
}

/// A row is looked at once, in the order of positions, so all of an archive is looked at in steps of one
/// size.
const std::string& EraseSql() {
  static const std::string kSql = Claims().UnderClaim(
      "looked_at AS MATERIALIZED (SELECT position, received_at_ms, "
      "($7::bigint IS NULL OR generation <= $7::bigint) AND ($8::bigint IS NULL OR (origin_topic = "
      "$8::bigint "
      "AND origin_partition = $9::bigint AND origin_offset <= $10::bigint)) "
      "AND ($11::bigint IS NULL OR received_at_ms < $11::bigint) AS is_meant "
      "FROM search_archive WHERE EXISTS (SELECT FROM claim) AND owner = $4::text "
      "AND position >= $5::bigint ORDER BY position LIMIT $6::bigint), "
      "erased AS (DELETE FROM search_archive a USING looked_at l WHERE l.is_meant AND a.owner = $4::text "
      "AND a.position = l.position AND a.received_at_ms = l.received_at_ms RETURNING true), "
      "no_words AS (DELETE FROM search_archive_words w USING looked_at l WHERE l.is_meant "
      "AND w.owner = $4::text AND w.position = l.position AND w.received_at_ms = l.received_at_ms)",
      "SELECT (SELECT count(*) FROM erased), (SELECT count(*) FROM looked_at), "
      "(SELECT max(position) FROM looked_at)");
  return kSql;
}

// ---- what is read -----------------------------------------------------------

/// Which index leads to the rows that match.
enum class Access : std::uint8_t { kAll, kPeer, kPeerAndResource, kIds };
constexpr std::size_t kAccesses = 4;

Access AccessOf(const ArchiveFilter& filter) {
  if (filter.ids) return Access::kIds;
  if (!filter.peer) return Access::kAll;
  return filter.peer_resource ? Access::kPeerAndResource : Access::kPeer;
}

#define ROOKERY_START "greatest($4::bigint, " ROOKERY_KEPT ")"

// Positions are in the order of times to within kMaxDisorderMs, so no message that was received since `start`
// has a lower one than a message that was received so much before it. Of several of these the lowest position
// holds: so the clock of one process may be wrong. The index knows one row in eight.
#define ROOKERY_SAMPLE(owner_key, times)                              \
  "(SELECT position FROM search_archive WHERE owner_key = " owner_key \
  " AND owner || '' = $1::text "                                      \
  "AND hashint8(position) & 7 = 0 AND received_at_ms " times " LIMIT 8)"
#define ROOKERY_FIRST_OF_TIME(owner_key)        \
  "(SELECT min(position) FROM " ROOKERY_SAMPLE( \
      owner_key, "< " ROOKERY_START " - 300000 ORDER BY received_at_ms DESC") " AS before_it)"
#define ROOKERY_LAST_OF_TIME(owner_key)         \
  "(SELECT max(position) FROM " ROOKERY_SAMPLE( \
      owner_key, "> $6::bigint + 300000 ORDER BY received_at_ms") " AS behind_it)"
static_assert(ArchiveFilter::kMaxDisorderMs == 300'000);

// What questions begin with: the ids that they name, and which positions are behind and before these. Nothing
// is behind or before a message that is not there.
#define ROOKERY_ENDS \
  "WITH named AS MATERIALIZED (SELECT k.id, m.place FROM unnest($11::bigint[]) AS k (id) "           \
  "CROSS JOIN LATERAL (" ROOKERY_NAMED("$1::text", "$10::bigint", "k.id", "$2::bigint") ") AS m), "  \
  "ends AS MATERIALIZED (SELECT count(*) = count(place) AS are_there, "                              \
  "max(coalesce(place[1], 4611686018427387904)) FILTER (WHERE id = ANY ($12::bigint[])) AS behind, " \
  "min(coalesce(place[1], -1)) FILTER (WHERE id = ANY ($13::bigint[])) AS before FROM named) "
static_assert(ArchiveFilter::kMaxPosition + 1 == 4'611'686'018'427'387'904);
#define ROOKERY_BEHIND "(SELECT behind + 1 FROM ends)"
#define ROOKERY_BEFORE "(SELECT before - 1 FROM ends)"

// $1 to $13: owner, generation, first position, start, last position, end, with groupchat, peer, resource,
// the owner's digest; the ids that are named, those that the question is behind, and those that it is before.
#define ROOKERY_MATCHES                                               \
  " AND generation = $2::bigint AND received_at_ms >= " ROOKERY_START \
  " AND received_at_ms <= $6::bigint AND ($7::boolean OR kind <> 2) " \
  "AND ($8::text IS NULL OR peer = $8::text) AND ($9::text IS NULL OR peer_resource = $9::text) "
static_assert(static_cast<int>(MessageKind::kGroupchat) == 2);

/// A SELECT of those that match, the first or the last `limit` of them. `special`: the parameter that only
/// this access has, a key or ids.
std::string Matching(Access access, bool from_the_end, const std::string& columns, const std::string& limit,
                     const std::string& special) {
  const std::string order =
      std::string("ORDER BY position ") + (from_the_end ? "DESC" : "ASC") + " LIMIT " + limit;
  const std::string bounds =
      " AND position >= greatest($3::bigint, " ROOKERY_BEHIND
      ", " ROOKERY_FIRST_OF_TIME("$10::bigint") ") AND position <= least($5::bigint, " ROOKERY_BEFORE
                                                ", " ROOKERY_LAST_OF_TIME("$10::bigint") ")" ROOKERY_MATCHES;
  const std::string select = "SELECT " + columns + " FROM search_archive WHERE ";
  switch (access) {
    case Access::kAll:
      return select + "owner = $1::text" + bounds + order;
    case Access::kPeer:
      // An owner that no index knows: the one of addresses would be followed through all of the archive.
      return select + "with_bare = " + special + "::bigint AND owner || '' = $1::text" + bounds + order;
    case Access::kPeerAndResource:
      return select + "with_full = " + special + "::bigint AND owner || '' = $1::text" + bounds + order;
    case Access::kIds:
      // One row by its key is looked for as the first one of a range: only that index has the order, while of
      // equalities any index would do that has one of the columns anywhere.
      return "SELECT m.* FROM named AS asked CROSS JOIN LATERAL (" + select +
             "owner = $1::text AND position >= asked.place[1] AND position <= asked.place[1] "
             "AND received_at_ms = asked.place[2] AND position >= greatest($3::bigint, " ROOKERY_BEHIND
             ") AND position <= least($5::bigint, " ROOKERY_BEFORE ")" ROOKERY_MATCHES
             "ORDER BY position LIMIT 1) AS m WHERE asked.id = ANY (" +
             special + "::bigint[]) " + order;
  }
  return {};
}

constexpr char kColumns[] =
    "position, archive_id, received_at_ms, peer, peer_resource, direction, kind, origin_topic, "
    "origin_partition, origin_offset, stanza";

/// $14: rows; $15: bytes; $16: the access's own. A stanza's length is known without reading it: only those of
/// the page are read. A join with LIMIT cannot become a scan of the table.
const std::string& PageSql(Access access, bool from_the_end) {
  const auto make = [](Access how, bool end) {
    return ROOKERY_ENDS
           "SELECT e.are_there, p.* FROM ends e LEFT JOIN (SELECT count(*) OVER () AS many, "
           "row_number() OVER in_order AS number, sum(octet_length(stanza)) OVER in_order AS bytes, found.* "
           "FROM (" +
           Matching(how, end, kColumns, "$14::bigint + 1", "$16") +
           ") AS found WINDOW in_order AS (ORDER BY position " + (end ? "DESC" : "ASC") +
           ")) AS p ON p.number <= greatest($14::bigint, 1) AND (p.number = 1 OR p.bytes <= $15::bigint)";
  };
  static const auto kSql = [&make] {
    std::array<std::array<std::string, 2>, kAccesses> all;
    for (std::size_t i = 0; i < kAccesses; ++i)
      for (const bool end : {false, true}) all[i][end] = make(static_cast<Access>(i), end);
    return all;
  }();
  return kSql[static_cast<std::size_t>(access)][from_the_end];
}

/// $14: how many at most; $15: the access's own.
const std::string& CountSql(Access access) {
  static const auto kSql = [] {
    std::array<std::string, kAccesses> all;
    for (std::size_t i = 0; i < kAccesses; ++i)
      all[i] = ROOKERY_ENDS "SELECT count(*) FROM (" +
               Matching(static_cast<Access>(i), false, "position", "$14::bigint", "$15") + ") AS found";
    return all;
  }();
  return kSql[static_cast<std::size_t>(access)];
}

// $5: the owner's digest.
#define ROOKERY_BOUND(order)                                                                 \
  "(SELECT position, archive_id, received_at_ms FROM search_archive WHERE owner = $1::text " \
  "AND generation = $2::bigint AND position >= greatest($3::bigint, " ROOKERY_FIRST_OF_TIME( \
      "$5::bigint") ") AND received_at_ms >= " ROOKERY_START " ORDER BY position " order " LIMIT 1)"
constexpr char kBounds[] = ROOKERY_BOUND("ASC") " UNION ALL " ROOKERY_BOUND("DESC");

constexpr char kHas[] =
    "SELECT place FROM (" ROOKERY_NAMED("$1::text", "$4::bigint", "$2::bigint", "$3::bigint") ") AS m "
    "WHERE place IS NOT NULL";

/// From owner to owner through the index, whatever number of messages each of them has.
constexpr char kFindOwners[] =
    "WITH RECURSIVE walk (owner, number) AS ("
    "(SELECT owner, 1 FROM search_archive WHERE owner > $1::text ORDER BY owner LIMIT 1) UNION ALL "
    "SELECT next.owner, walk.number + 1 FROM walk CROSS JOIN LATERAL (SELECT owner FROM search_archive "
    "WHERE owner > walk.owner ORDER BY owner LIMIT 1) AS next WHERE walk.number < $2::bigint) "
    "SELECT owner FROM walk ORDER BY number";

/// $1 to $13.
std::vector<Param> FilterParams(const ArchiveFilter& filter, const NamedIds& named) {
  constexpr std::int64_t kAnyTime = std::int64_t{1} << 53;
  const auto text = [](const std::optional<std::string>& value) {
    return value ? Param::Text(*value) : Param::Null();
  };
  const PositionRange range = PositionRangeOf(filter);
  return {Param::Text(filter.owner),
          Param::Id(filter.generation),
          Param::Int(range.first),
          Param::Int(StorableTime(filter.start_ms.value_or(0))),
          Param::Int(range.last),
          Param::Int(std::clamp<std::int64_t>(filter.end_ms.value_or(kAnyTime), -1, kAnyTime)),
          Param::Bool(filter.has_groupchat),
          text(filter.peer),
          text(filter.peer_resource),
          Param::Int(OwnerKeyOf(filter.owner)),
          Param::IdArray(named.all),
          Param::IdArray(named.after),
          Param::IdArray(named.before)};
}

void AddSpecial(const ArchiveFilter& filter, std::vector<Param>& params) {
  switch (AccessOf(filter)) {
    case Access::kAll:
      return;
    case Access::kPeer:
      params.push_back(Param::Int(WithKeyOf(filter.owner, *filter.peer)));
      return;
    case Access::kPeerAndResource:
      params.push_back(Param::Int(WithKeyOf(filter.owner, *filter.peer, *filter.peer_resource)));
      return;
    case Access::kIds:
      params.push_back(Param::IdArray(*filter.ids));
      return;
  }
}

absl::StatusOr<ArchivePage> ReadPage(const pg::Result& rows, const PageRequest& request) {
  if (rows.rows() == 0 || !rows.Bool(0, 0)) return absl::NotFoundError("no such message in the archive");
  ArchivePage page;
  if (rows.IsNull(0, 1)) return page;
  const auto many = static_cast<std::size_t>(rows.Int(0, 1));
  if (request.max_rows > 0) {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      ArchivedMessage& message = page.messages.emplace_back();
      message.owner = request.filter.owner;
      message.generation = request.filter.generation;
      message.position = rows.Int(i, 4);
      message.id = static_cast<std::uint64_t>(rows.Int(i, 5));
      message.received_at_ms = rows.Int(i, 6);
      message.peer = rows.Text(i, 7);
      message.peer_resource = rows.Text(i, 8);
      message.direction = static_cast<Direction>(rows.Int(i, 9));
      message.kind = static_cast<MessageKind>(rows.Int(i, 10));
      message.origin = {static_cast<std::int32_t>(rows.Int(i, 11)),
                        static_cast<std::uint32_t>(rows.Int(i, 12)), rows.Int(i, 13)};
      message.stanza = rows.Bytes(i, 14);
    }
  }
  page.has_more = many > page.messages.size();
  std::ranges::sort(page.messages, {}, &ArchivedMessage::position);
  return page;
}

}  // namespace

PgArchiveStore::PgArchiveStore(pg::Pool& pool, pg::Pool& reading_pool, ArchivePeriod period)
    : pool_(pool),
      reading_pool_(reading_pool),
      period_(period),
      claims_(pool, Claims()),
      cursors_(pool, Cursors()) {}

pg::Options PgArchiveStore::PoolOptions(pg::Options options) {
  // A statement's plan is made for an archive of average size, all of which may well be read and sorted; the
  // next archive has a million messages. What is turned off is still done where there is no other way, at a
  // price that would have each statement compiled. A plan is made once: with so many partitions that takes
  // longer than a page, and the server believes that it pays each time, since a question mostly names fewer
  // ids than it expects.
  options.session_settings =
      "-c enable_sort=off -c enable_incremental_sort=off -c enable_seqscan=off -c enable_bitmapscan=off "
      "-c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan";
  return options;
}

// ---- shards -----------------------------------------------------------------

Task<absl::Status> PgArchiveStore::Claim(std::uint32_t shard, std::int64_t epoch) {
  return claims_.Claim(shard, epoch);
}

Task<absl::StatusOr<std::int64_t>> PgArchiveStore::ClaimedBy(std::uint32_t shard) {
  return claims_.ClaimedBy(shard);
}

Task<absl::Status> PgArchiveStore::KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) {
  return cursors_.Keep(shard, epoch, cursor);
}

Task<absl::StatusOr<std::int64_t>> PgArchiveStore::FindCursor(std::uint32_t shard) {
  return cursors_.Find(shard);
}

// ---- partitions -------------------------------------------------------------

Task<absl::Status> PgArchiveStore::MakePartition(TimeSpan span) {
  if (made_.contains(span.from_ms)) co_return absl::OkStatus();
  std::vector<Param> params{Param::Int(span.from_ms), Param::Int(span.to_ms)};
  const pg::ResultOr made = co_await pool_.Execute(
      0, "SELECT search_make_archive_partitions($1::bigint, $2::bigint)", std::move(params));
  if (!made.ok()) co_return made.status();
  if (made_.size() >= kMostMadePeriods) made_.clear();
  made_.insert(span.from_ms);
  co_return absl::OkStatus();
}

Task<absl::Status> PgArchiveStore::MakePartitions(const Rows& rows) {
  for (const ArchivedMessage* row : rows) {
    const std::optional<TimeSpan> span = PeriodOf(row->received_at_ms, period_);
    if (!span) continue;
    ROOKERY_CO_RETURN_IF_ERROR(co_await MakePartition(*span));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> PgArchiveStore::MakeSpace(std::int64_t from_ms, std::int64_t to_ms) {
  std::vector<TimeSpan> spans;
  for (auto span = PeriodOf(std::max(from_ms, kFirstPeriodMs), period_); span && span->from_ms <= to_ms;
       span = PeriodOf(span->to_ms, period_)) {
    if (spans.size() == kMaxPeriodsAhead) co_return absl::InvalidArgumentError("too many periods ahead");
    spans.push_back(*span);
  }
  for (const TimeSpan& span : spans) ROOKERY_CO_RETURN_IF_ERROR(co_await MakePartition(span));
  co_return absl::OkStatus();
}

Task<absl::Status> PgArchiveStore::ForgetBefore(std::int64_t at_ms) {
  std::vector<Param> params{Param::Int(at_ms)};
  const pg::ResultOr forgotten = co_await pool_.Execute(
      0, "UPDATE search_archive_retention SET kept_from_ms = $1::bigint WHERE kept_from_ms < $1::bigint",
      std::move(params));
  if (!forgotten.ok()) co_return forgotten.status();
  while (true) {
    const pg::ResultOr dropped = co_await pool_.Execute(0, "SELECT search_drop_archive_partition()", {});
    if (!dropped.ok()) co_return dropped.status();
    if (!(*dropped)->Bool(0, 0)) co_return absl::OkStatus();
  }
}

// ---- what changes archives --------------------------------------------------

Task<absl::StatusOr<std::vector<Appended>>> PgArchiveStore::Append(std::uint32_t shard, std::int64_t epoch,
                                                                   std::vector<ArchivedMessage> messages) {
  std::vector<Appended> answers(messages.size(), Appended::kRefused);
  if (messages.empty()) co_return answers;
  if (messages.size() > kMaxAppended) co_return absl::InvalidArgumentError("too many messages at a time");
  Rows rows;
  std::vector<std::size_t> places;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    bytes += messages[i].stanza.size();
    if (!IsStorable(messages[i])) continue;
    messages[i].received_at_ms = StorableTime(messages[i].received_at_ms);
    rows.push_back(&messages[i]);
    places.push_back(i);
  }
  if (bytes > kMaxAppendedBytes) co_return absl::InvalidArgumentError("too many bytes at a time");
  if (rows.empty()) co_return answers;
  ROOKERY_CO_ASSIGN_OR_RETURN(const std::vector<Appended> stored,
                              co_await Store(shard, epoch, std::move(rows)));
  for (std::size_t i = 0; i < places.size(); ++i) answers[places[i]] = stored[i];
  co_return answers;
}

Task<absl::StatusOr<std::vector<Appended>>> PgArchiveStore::Store(std::uint32_t shard, std::int64_t epoch,
                                                                  Rows rows) {
  absl::StatusOr<std::vector<Appended>> stored = co_await Insert(shard, epoch, rows);
  if (pg::IsForWantOfPartition(stored.status())) {
    // One has gone since it was made.
    made_.clear();
    stored = co_await Insert(shard, epoch, rows);
  }
  if (stored.ok() || !pg::IsOfItsData(stored.status())) co_return stored;
  if (rows.size() == 1) co_return std::vector<Appended>{Appended::kRefused};
  // One of them is refused, and nobody says which.
  const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
  Rows rest(middle, rows.end());
  rows.erase(middle, rows.end());
  ROOKERY_CO_ASSIGN_OR_RETURN(std::vector<Appended> answers, co_await Store(shard, epoch, std::move(rows)));
  ROOKERY_CO_ASSIGN_OR_RETURN(const std::vector<Appended> others,
                              co_await Store(shard, epoch, std::move(rest)));
  answers.insert(answers.end(), others.begin(), others.end());
  co_return answers;
}

Task<absl::StatusOr<std::vector<Appended>>> PgArchiveStore::Insert(std::uint32_t shard, std::int64_t epoch,
                                                                   const Rows& rows) {
  ROOKERY_CO_RETURN_IF_ERROR(co_await MakePartitions(rows));
  std::vector<Param> params = AppendParams(rows);
  const pg::ResultOr result =
      co_await claims_.Query(shard, epoch, shard, AppendSql().c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& stored = **result;
  using Key = std::tuple<std::string_view, std::uint64_t, std::int64_t>;
  std::set<Key> keys;
  for (std::size_t i = 0; i < stored.rows() && !stored.IsNull(i, 2); ++i)
    keys.emplace(stored.Text(i, 2), static_cast<std::uint64_t>(stored.Int(i, 3)), stored.Int(i, 4));
  const std::int64_t kept_from_ms = stored.Int(0, 1);
  std::vector<Appended> answers;
  answers.reserve(rows.size());
  for (const ArchivedMessage* row : rows) {
    if (row->received_at_ms < kept_from_ms) {
      answers.push_back(Appended::kTooOld);
    } else {
      // Of two with the same key the first one is new.
      const bool is_new = keys.erase(Key(row->owner, row->id, row->received_at_ms)) > 0;
      answers.push_back(is_new ? Appended::kNew : Appended::kKnown);
    }
  }
  co_return answers;
}

Task<absl::StatusOr<std::vector<bool>>> PgArchiveStore::Replace(std::uint32_t shard, std::int64_t epoch,
                                                                std::vector<Replacement> replacements) {
  if (replacements.size() > kMaxAppended) co_return absl::InvalidArgumentError("too many messages at a time");
  std::size_t bytes = 0;
  for (const Replacement& one : replacements) bytes += one.stanza.size();
  if (bytes > kMaxAppendedBytes) co_return absl::InvalidArgumentError("too many bytes at a time");
  // A statement may not change one row twice. What cannot be an owner is not there.
  using Key = std::tuple<std::string_view, std::uint64_t, std::uint64_t>;
  std::map<Key, std::size_t> last;
  for (std::size_t i = 0; i < replacements.size(); ++i)
    last[Key(replacements[i].owner, replacements[i].id, replacements[i].generation)] = i;
  std::vector<const Replacement*> rows;
  for (const auto& [key, place] : last)
    if (IsOwner(replacements[place].owner)) rows.push_back(&replacements[place]);
  ROOKERY_CO_ASSIGN_OR_RETURN(const std::set<const Replacement*> done,
                              co_await Update(shard, epoch, std::move(rows)));
  std::vector<bool> answers;
  answers.reserve(replacements.size());
  for (const Replacement& one : replacements) {
    const Replacement* held = &replacements[last.at(Key(one.owner, one.id, one.generation))];
    answers.push_back(done.contains(held));
  }
  co_return answers;
}

Task<absl::StatusOr<std::set<const Replacement*>>> PgArchiveStore::Update(
    std::uint32_t shard, std::int64_t epoch, std::vector<const Replacement*> rows) {
  std::set<const Replacement*> changed;
  if (rows.empty()) co_return changed;
  std::vector<std::string> owners, stanzas;
  std::vector<std::int64_t> owner_keys;
  std::vector<std::uint64_t> ids, generations;
  for (const Replacement* row : rows) {
    owners.push_back(row->owner);
    owner_keys.push_back(OwnerKeyOf(row->owner));
    ids.push_back(row->id);
    generations.push_back(row->generation);
    stanzas.push_back(row->stanza);
  }
  std::vector<Param> params{Param::TextArray(owners), Param::IntArray(owner_keys), Param::IdArray(ids),
                            Param::IdArray(generations), Param::BytesArray(stanzas)};
  const pg::ResultOr result =
      co_await claims_.Query(shard, epoch, shard, ReplaceSql().c_str(), std::move(params));
  if (pg::IsOfItsData(result.status())) {
    if (rows.size() == 1) co_return changed;
    const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
    std::vector<const Replacement*> rest(middle, rows.end());
    rows.erase(middle, rows.end());
    ROOKERY_CO_ASSIGN_OR_RETURN(changed, co_await Update(shard, epoch, std::move(rows)));
    ROOKERY_CO_ASSIGN_OR_RETURN(const std::set<const Replacement*> others,
                                co_await Update(shard, epoch, std::move(rest)));
    changed.insert(others.begin(), others.end());
    co_return changed;
  }
  if (!result.ok()) co_return result.status();
  const pg::Result& done = **result;
  for (std::size_t i = 0; i < done.rows() && !done.IsNull(i, 1); ++i)
    changed.insert(rows.at(static_cast<std::size_t>(done.Int(i, 1) - 1)));
  co_return changed;
}

Task<absl::StatusOr<Erased>> PgArchiveStore::Erase(std::uint32_t shard, std::int64_t epoch, Erasure erasure,
                                                   std::int64_t from_position, std::size_t max_rows) {
  if (max_rows == 0) co_return absl::InvalidArgumentError("no rows at a time");
  const auto origin = [&erasure](auto member) {
    return erasure.up_to_origin ? Param::Int((*erasure.up_to_origin).*member) : Param::Null();
  };
  std::vector<Param> params{
      Param::Text(erasure.owner),
      Param::Int(from_position),
      Size(max_rows),
      erasure.up_to_generation ? Param::Id(*erasure.up_to_generation) : Param::Null(),
      origin(&ArchiveOrigin::topic),
      origin(&ArchiveOrigin::partition),
      origin(&ArchiveOrigin::offset),
      erasure.received_before_ms ? Param::Int(*erasure.received_before_ms) : Param::Null()};
  const pg::ResultOr result =
      co_await claims_.Query(shard, epoch, shard, EraseSql().c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& found = **result;
  Erased erased;
  erased.rows = static_cast<std::size_t>(found.Int(0, 1));
  if (static_cast<std::size_t>(found.Int(0, 2)) == max_rows) erased.next_position = found.Int(0, 3) + 1;
  co_return erased;
}

// ---- questions --------------------------------------------------------------

Task<absl::StatusOr<ArchivePage>> PgArchiveStore::FindPage(PageRequest request) {
  if (!IsAnswerable(request)) co_return absl::InvalidArgumentError("too much is asked for");
  const ArchiveFilter& filter = request.filter;
  std::vector<Param> params = FilterParams(filter, NamedIdsOf(request));
  params.push_back(Size(request.max_rows));
  params.push_back(Size(request.max_bytes));
  AddSpecial(filter, params);
  const std::string& sql = PageSql(AccessOf(filter), request.from_the_end);
  const pg::ResultOr result =
      co_await reading_pool_.Execute(LaneOf(filter.owner), sql.c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  co_return ReadPage(**result, request);
}

Task<absl::StatusOr<BoundedCount>> PgArchiveStore::Count(ArchiveFilter filter, std::size_t at_most) {
  if (filter.ids && filter.ids->size() > ArchiveFilter::kMaxIds)
    co_return absl::InvalidArgumentError("too many ids");
  if (at_most > ArchiveFilter::kMaxCount) co_return absl::InvalidArgumentError("too many to be counted");
  std::vector<Param> params = FilterParams(filter, NamedIdsOf(filter));
  params.push_back(Size(at_most + 1));
  AddSpecial(filter, params);
  const std::string& sql = CountSql(AccessOf(filter));
  const pg::ResultOr result =
      co_await reading_pool_.Execute(LaneOf(filter.owner), sql.c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  const auto found = static_cast<std::size_t>((*result)->Int(0, 0));
  const BoundedCount count{std::min(found, at_most), found <= at_most};
  co_return count;
}

Task<absl::StatusOr<std::optional<ArchiveBounds>>> PgArchiveStore::FindBounds(std::string owner,
                                                                              std::uint64_t generation,
                                                                              std::int64_t first_position) {
  std::vector<Param> params{Param::Text(owner), Param::Id(generation), Param::Int(first_position),
                            Param::Int(0), Param::Int(OwnerKeyOf(owner))};
  const pg::ResultOr result = co_await reading_pool_.Execute(LaneOf(owner), kBounds, std::move(params));
  if (!result.ok()) co_return result.status();
  std::optional<ArchiveBounds> bounds;
  const pg::Result& found = **result;
  // The first and the last one, which may be the same.
  if (found.rows() == 2) {
    // Nothing says that a UNION keeps their order.
    const auto place = [&found](std::size_t i) {
      return ArchiveBounds::Place{static_cast<std::uint64_t>(found.Int(i, 1)), found.Int(i, 2)};
    };
    const std::size_t first = found.Int(0, 0) <= found.Int(1, 0) ? 0 : 1;
    bounds = ArchiveBounds{place(first), place(1 - first)};
  }
  co_return bounds;
}

Task<absl::StatusOr<bool>> PgArchiveStore::Has(std::string owner, std::uint64_t generation,
                                               std::uint64_t id) {
  std::vector<Param> params{Param::Text(owner), Param::Id(id), Param::Id(generation),
                            Param::Int(OwnerKeyOf(owner))};
  const pg::ResultOr result = co_await reading_pool_.Execute(LaneOf(owner), kHas, std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->rows() > 0;
}

Task<absl::StatusOr<OwnerPage>> PgArchiveStore::FindOwners(std::string domain, std::string after,
                                                           std::size_t max) {
  std::vector<Param> params{Param::Text(after), Size(max)};
  const pg::ResultOr result = co_await reading_pool_.Execute(LaneOf(after), kFindOwners, std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& found = **result;
  OwnerPage page;
  for (std::size_t i = 0; i < found.rows(); ++i)
    if (xmpp::DomainOf(found.Text(i, 0)) == domain) page.owners.emplace_back(found.Text(i, 0));
  if (found.rows() == max && max > 0) page.next = found.Text(found.rows() - 1, 0);
  co_return page;
}

}  // namespace rookery::search
