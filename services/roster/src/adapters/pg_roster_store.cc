#include "adapters/pg_roster_store.h"

#include <algorithm>
#include <chrono>

#include "rookery/base/deadline.h"
#include "rookery/base/status.h"

namespace rookery::roster {

namespace {

using pg::LaneOf;
using pg::Param;

/// Old answers that are looked for at a time.
constexpr std::int64_t kSweepPage = 1'000;
/// A call for one user takes no longer than that, about.
constexpr std::chrono::seconds kSweepLimit{1};
/// Between two pages, so that a long sweep leaves most of the database's time to callers.
constexpr std::chrono::milliseconds kSweepPause{50};

// A user's answers: more than a session may have unconfirmed at its gateway.
#define ROOKERY_MAX_ANSWERS "512"

/// A list travels as one text, separated by U+001F, which XML cannot contain.
constexpr char kSeparator = '\x1f';

std::vector<std::string> Split(std::string_view joined) {
  std::vector<std::string> list;
  while (!joined.empty()) {
    const std::size_t end = joined.find(kSeparator);
    list.emplace_back(joined.substr(0, end));
    if (end == std::string_view::npos) break;
    joined.remove_prefix(end + 1);
  }
  return list;
}

// The columns that ReadContact reads, from its first column on.
#define ROOKERY_CONTACT_COLUMNS                                                                             \
  "jid, name, coalesce((SELECT string_agg(g, chr(31) ORDER BY n) FROM unnest(groups) WITH ORDINALITY AS u " \
  "(g, n)), ''), subscription, "                                                                            \
  "pending_out, pending_in, approved, listed, coalesce(request, ''), revision"

#define ROOKERY_VERSION_WITH(contacts)                                                                    \
  "SELECT v.version, v.has_blocked, v.avatar_hash, i.* FROM (SELECT coalesce((SELECT version FROM "       \
  "roster_versions WHERE owner = $1), 0) AS version, EXISTS (SELECT 1 FROM block_lists WHERE owner = $1 " \
  "AND jids <> '{}') AS has_blocked, (SELECT avatar_hash FROM vcards WHERE owner = $1) AS avatar_hash) "  \
  "AS v LEFT JOIN (" contacts ") AS i ON true ORDER BY i.jid"

// The database's clock in ms since 1970.
#define ROOKERY_MS_OF(time) "(extract(epoch FROM " time ") * 1000)::bigint"

// Whether it is not too late for a change: a row or none. $2 is until when it may be made, in ms.
#define ROOKERY_FRESH \
  "fresh AS MATERIALIZED (SELECT 1 WHERE " ROOKERY_MS_OF("clock_timestamp()") " <= $2::bigint)"
#define ROOKERY_IS_FRESH "EXISTS (SELECT 1 FROM fresh)"

// The parameters that every change of a contact has: $1 owner, $2 of ROOKERY_FRESH, $3 the contact, $4 by how
// much the version rises, $5 to $8 what the roster gains, $9 and $10 the request and its answer.

// Room for one more answer.
#define ROOKERY_PRUNE                                                                                  \
  "pruned AS (DELETE FROM roster_answers WHERE owner = $1 AND request_id IN (SELECT request_id "       \
  "FROM roster_answers WHERE owner = $1 ORDER BY made_at DESC, request_id OFFSET " ROOKERY_MAX_ANSWERS \
  " - 1))"

// The consequences of a change named `changed`, if it has a row: the version and the totals (a roster's first
// version is the time, in ms), and the answer.
#define ROOKERY_FOLLOWS \
  ", bump AS (INSERT INTO roster_versions (owner, version, items, item_bytes, requests, request_bytes) " \
  "SELECT $1::text, " ROOKERY_MS_OF("clock_timestamp()") ", $5::bigint, $6::bigint, "                    \
  "$7::bigint, $8::bigint FROM changed "                                                                 \
  "ON CONFLICT (owner) DO UPDATE SET version = roster_versions.version + $4::int, "                      \
  "items = roster_versions.items + $5::bigint, item_bytes = roster_versions.item_bytes + $6::bigint, "   \
  "requests = roster_versions.requests + $7::bigint, "                                                   \
  "request_bytes = roster_versions.request_bytes + $8::bigint RETURNING version), " ROOKERY_PRUNE        \
  ", kept AS (INSERT INTO roster_answers (owner, request_id, response, version) "                        \
  "SELECT $1::text, $9::text, $10::bytea, version FROM bump WHERE $9::text <> '') "                       \
  "SELECT " ROOKERY_IS_FRESH ", (SELECT version FROM bump)"

Contact ReadContact(const pg::Result& rows, std::size_t row, std::size_t first) {
  Contact contact;
  contact.jid = rows.Text(row, first);
  contact.name = rows.Text(row, first + 1);
  contact.groups = Split(rows.Text(row, first + 2));
  const std::int64_t subscription = rows.Int(row, first + 3);
  contact.state.to = (subscription & 1) != 0;
  contact.state.from = (subscription & 2) != 0;
  contact.state.pending_out = rows.Bool(row, first + 4);
  contact.state.pending_in = rows.Bool(row, first + 5);
  contact.state.approved = rows.Bool(row, first + 6);
  contact.listed = rows.Bool(row, first + 7);
  contact.request = rows.Bytes(row, first + 8);
  contact.revision = rows.Int(row, first + 9);
  return contact;
}

absl::StatusOr<StoredRoster> ReadRoster(const pg::ResultOr& result) {
  if (!result.ok()) return result.status();
  const pg::Result& rows = **result;
  StoredRoster roster;
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    roster.version = static_cast<std::uint64_t>(rows.Int(i, 0));
    roster.has_blocked = rows.Bool(i, 1);
    if (!rows.IsNull(i, 2)) roster.avatar_hash = std::string(rows.Text(i, 2));
    if (!rows.IsNull(i, 3)) roster.contacts.push_back(ReadContact(rows, i, 3));
  }
  return roster;
}

/// Tells the outcome of a change whose row says whether it was fresh, and what it has made.
absl::Status OutcomeOf(const pg::ResultOr& result) {
  // The request has been answered, or the contact is there.
  if (absl::IsAlreadyExists(result.status())) return absl::AbortedError("somebody was quicker");
  if (!result.ok()) return result.status();
  if ((*result)->rows() != 1) return absl::InternalError("the outcome of a change is one row");
  if (!(*result)->Bool(0, 0)) return absl::FailedPreconditionError("it was decided too long ago");
  if ((*result)->IsNull(0, 1)) return absl::AbortedError("somebody was quicker");
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> VersionOf(const pg::ResultOr& result) {
  if (absl::Status made = OutcomeOf(result); !made.ok()) return made;
  return static_cast<std::uint64_t>((*result)->Int(0, 1));
}

}  // namespace

Param PgRosterStore::LatestFor(std::int64_t read_at_ms) const {
  // The statement takes its time, too.
  constexpr std::chrono::milliseconds kMost = kMadeWithin;
  return Param::Int(read_at_ms + std::min(answers_kept_for_ / 2, kMost).count());
}

Task<absl::StatusOr<StoredRoster>> PgRosterStore::Load(std::string owner) {
  std::vector<Param> params{Param::Text(owner)};
  // The version comes even when there is no contact.
  const pg::ResultOr result = co_await pool_.Execute(
      LaneOf(owner),
      ROOKERY_VERSION_WITH("SELECT " ROOKERY_CONTACT_COLUMNS " FROM roster_items WHERE owner = $1"),
      std::move(params));
  co_return ReadRoster(result);
}

Task<absl::StatusOr<StoredRoster>> PgRosterStore::LoadPending(std::string owner) {
  std::vector<Param> params{Param::Text(owner)};
  const pg::ResultOr result =
      co_await pool_.Execute(LaneOf(owner),
                             ROOKERY_VERSION_WITH("SELECT " ROOKERY_CONTACT_COLUMNS
                                                  " FROM roster_items WHERE owner = $1 AND pending_in"),
                             std::move(params));
  co_return ReadRoster(result);
}

Task<absl::StatusOr<Snapshot>> PgRosterStore::Read(std::string owner, std::string jid,
                                                   std::string request_id) {
  std::vector<Param> params{Param::Text(owner), Param::Text(jid), Param::Text(request_id)};
  const pg::ResultOr result = co_await pool_.Execute(
      LaneOf(owner),
      "SELECT coalesce(v.items, 0), coalesce(v.item_bytes, 0), coalesce(v.requests, 0), "
      "coalesce(v.request_bytes, 0), a.response, a.version, " ROOKERY_MS_OF("now()")
      ", i.* FROM (SELECT 1) AS one "
      "LEFT JOIN roster_versions AS v ON v.owner = $1 "
      "LEFT JOIN roster_answers AS a ON a.owner = $1 AND a.request_id = $3 "
      "LEFT JOIN (SELECT " ROOKERY_CONTACT_COLUMNS
      " FROM roster_items WHERE owner = $1 AND jid = $2) AS i ON true",
      std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& rows = **result;
  if (rows.rows() != 1) co_return absl::InternalError("a snapshot is one row");
  Snapshot snapshot;
  snapshot.totals = {rows.Int(0, 0), rows.Int(0, 1), rows.Int(0, 2), rows.Int(0, 3)};
  if (!rows.IsNull(0, 5)) snapshot.answer = {rows.Bytes(0, 4), static_cast<std::uint64_t>(rows.Int(0, 5))};
  // Before what else is in the row was looked at.
  snapshot.read_at_ms = rows.Int(0, 6);
  if (!rows.IsNull(0, 7)) snapshot.contact = ReadContact(rows, 0, 7);
  co_return snapshot;
}

Task<absl::StatusOr<std::uint64_t>> PgRosterStore::Apply(std::string owner, Change change) {
  const std::uint64_t lane = LaneOf(owner);
  if (change.kind == Change::Kind::kNone) {
    std::vector<Param> params{Param::Text(owner), LatestFor(change.read_at_ms),
                              Param::Text(change.request_id), Param::Bytes(change.response)};
    const pg::ResultOr kept = co_await pool_.Execute(
        lane,
        "WITH " ROOKERY_FRESH ", " ROOKERY_PRUNE
        ", kept AS (INSERT INTO roster_answers (owner, request_id, response, version) "
        "SELECT $1::text, $3::text, $4::bytea, coalesce((SELECT version FROM roster_versions "
        "WHERE owner = $1), 0) FROM fresh RETURNING version) "
        "SELECT " ROOKERY_IS_FRESH ", (SELECT version FROM kept)",
        std::move(params));
    co_return VersionOf(kept);
  }
  const Contact& contact = change.contact;
  std::vector<Param> params{Param::Text(owner),
                            LatestFor(change.read_at_ms),
                            Param::Text(contact.jid),
                            Param::Int(change.is_visible ? 1 : 0),
                            Param::Int(change.added.items),
                            Param::Int(change.added.item_bytes),
                            Param::Int(change.added.requests),
                            Param::Int(change.added.request_bytes),
                            Param::Text(change.request_id),
                            Param::Bytes(change.response)};
  if (change.kind == Change::Kind::kRemove) {
    params.push_back(Param::Int(contact.revision));
    const pg::ResultOr removed =
        co_await pool_.Execute(lane,
                               "WITH " ROOKERY_FRESH
                               ", changed AS (DELETE FROM roster_items WHERE owner = $1 AND jid = $3 AND "
                               "revision = $11 AND " ROOKERY_IS_FRESH " RETURNING 1)" ROOKERY_FOLLOWS,
                               std::move(params));
    co_return VersionOf(removed);
  }
  params.push_back(Param::Text(contact.name));
  params.push_back(Param::TextArray(contact.groups));
  params.push_back(Param::Int((contact.state.to ? 1 : 0) | (contact.state.from ? 2 : 0)));
  params.push_back(Param::Bool(contact.state.pending_out));
  params.push_back(Param::Bool(contact.state.pending_in));
  params.push_back(Param::Bool(contact.state.approved));
  params.push_back(Param::Bool(contact.listed));
  params.push_back(contact.request.empty() ? Param::Null() : Param::Bytes(contact.request));
  if (contact.revision == 0) {
    const pg::ResultOr inserted = co_await pool_.Execute(
        lane,
        "WITH " ROOKERY_FRESH
        ", changed AS (INSERT INTO roster_items (owner, jid, name, groups, subscription, pending_out, "
        "pending_in, approved, listed, request) SELECT $1::text, $3::text, $11::text, $12::text[], "
        "$13::smallint, $14::boolean, $15::boolean, $16::boolean, $17::boolean, $18::bytea FROM fresh "
        "RETURNING 1)" ROOKERY_FOLLOWS,
        std::move(params));
    co_return VersionOf(inserted);
  }
  params.push_back(Param::Int(contact.revision));
  const pg::ResultOr updated = co_await pool_.Execute(
      lane,
      "WITH " ROOKERY_FRESH
      ", changed AS (UPDATE roster_items SET name = $11, groups = $12, subscription = $13, "
      "pending_out = $14, pending_in = $15, approved = $16, listed = $17, request = $18, "
      "revision = revision + 1 WHERE owner = $1 AND jid = $3 AND revision = $19 AND " ROOKERY_IS_FRESH
      " RETURNING 1)" ROOKERY_FOLLOWS,
      std::move(params));
  co_return VersionOf(updated);
}

Task<absl::StatusOr<SettingsSnapshot>> PgRosterStore::ReadSettings(std::string owner,
                                                                   std::string request_id) {
  std::vector<Param> params{Param::Text(owner), Param::Text(request_id)};
  const pg::ResultOr result = co_await pool_.Execute(
      LaneOf(owner),
      "SELECT coalesce(array_to_string(b.jids, chr(31)), ''), coalesce(b.revision, 0), "
      "a.response, a.version, " ROOKERY_MS_OF("now()")
      ", c.avatar_hash, coalesce(c.revision, 0) FROM (SELECT 1) AS one "
      "LEFT JOIN block_lists AS b ON b.owner = $1 "
      "LEFT JOIN vcards AS c ON c.owner = $1 "
      "LEFT JOIN roster_answers AS a ON a.owner = $1 AND a.request_id = $2",
      std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& rows = **result;
  if (rows.rows() != 1) co_return absl::InternalError("a snapshot is one row");
  SettingsSnapshot snapshot;
  snapshot.list.jids = Split(rows.Text(0, 0));
  snapshot.list.revision = rows.Int(0, 1);
  snapshot.read_at_ms = rows.Int(0, 4);
  if (!rows.IsNull(0, 5)) snapshot.vcard.avatar_hash = std::string(rows.Text(0, 5));
  snapshot.vcard.revision = rows.Int(0, 6);
  if (!rows.IsNull(0, 3)) snapshot.answer = {rows.Bytes(0, 2), static_cast<std::uint64_t>(rows.Int(0, 3))};
  co_return snapshot;
}

Task<absl::Status> PgRosterStore::SaveBlockList(std::string owner, BlockChange change) {
  std::vector<Param> params{Param::Text(owner),
                            LatestFor(change.read_at_ms),
                            Param::TextArray(change.list.jids),
                            Param::Int(change.list.revision),
                            Param::Text(change.request_id),
                            Param::Bytes(change.response)};
  const pg::ResultOr saved = co_await pool_.Execute(
      LaneOf(owner),
      "WITH " ROOKERY_FRESH
      ", changed AS (INSERT INTO block_lists (owner, jids, revision) "
      "SELECT $1::text, $3::text[], 1 FROM fresh WHERE $4::bigint = 0 OR EXISTS (SELECT 1 FROM block_lists "
      "WHERE owner = $1) ON CONFLICT (owner) DO UPDATE SET jids = $3::text[], "
      "revision = block_lists.revision + 1 WHERE block_lists.revision = $4::bigint RETURNING "
      "1), " ROOKERY_PRUNE
      ", kept AS (INSERT INTO roster_answers (owner, request_id, response, version) "
      "SELECT $1::text, $5::text, $6::bytea, 0 FROM changed WHERE $5::text <> '') "
      "SELECT " ROOKERY_IS_FRESH ", (SELECT 1 FROM changed)",
      std::move(params));
  co_return OutcomeOf(saved);
}

Task<absl::StatusOr<std::string>> PgRosterStore::LoadVcard(std::string owner) {
  std::vector<Param> params{Param::Text(owner)};
  const pg::ResultOr result =
      co_await pool_.Execute(LaneOf(owner), "SELECT vcard FROM vcards WHERE owner = $1", std::move(params));
  if (!result.ok()) co_return result.status();
  if ((*result)->rows() == 0) co_return std::string();
  co_return (*result)->Bytes(0, 0);
}

Task<absl::Status> PgRosterStore::SaveVcard(std::string owner, VcardChange change) {
  std::vector<Param> params{Param::Text(owner),           LatestFor(change.read_at_ms),
                            Param::Bytes(change.vcard),   Param::Text(change.avatar_hash),
                            Param::Int(change.revision),  Param::Text(change.request_id),
                            Param::Bytes(change.response)};
  const pg::ResultOr saved = co_await pool_.Execute(
      LaneOf(owner),
      "WITH " ROOKERY_FRESH
      ", changed AS (INSERT INTO vcards (owner, vcard, avatar_hash, revision) "
      "SELECT $1::text, $3::bytea, $4::text, 1 FROM fresh WHERE $5::bigint = 0 OR EXISTS (SELECT 1 FROM "
      "vcards WHERE owner = $1) ON CONFLICT (owner) DO UPDATE SET vcard = $3::bytea, "
      "avatar_hash = $4::text, revision = vcards.revision + 1 WHERE vcards.revision = $5::bigint RETURNING "
      "1), " ROOKERY_PRUNE
      ", kept AS (INSERT INTO roster_answers (owner, request_id, response, version) "
      "SELECT $1::text, $6::text, $7::bytea, 0 FROM changed WHERE $6::text <> '') "
      "SELECT " ROOKERY_IS_FRESH ", (SELECT 1 FROM changed)",
      std::move(params));
  co_return OutcomeOf(saved);
}

Task<absl::Status> PgRosterStore::TakeBackApprovals(std::string user, std::int64_t read_at_ms) {
  // Who calls asks again, and no two are under way for one user for long.
  const Deadline deadline = Deadline::After(kSweepLimit);
  for (;;) {
    std::vector<Param> params{Param::Text(user), Param::Int(kSweepPage)};
    const pg::ResultOr page =
        co_await pool_.Execute(LaneOf(user),
                               "SELECT owner FROM roster_items WHERE jid = $1 AND approved "
                               "ORDER BY owner LIMIT $2::bigint",
                               std::move(params));
    if (!page.ok()) co_return page.status();
    for (std::size_t row = 0; row < (*page)->rows(); ++row) {
      const std::string owner((*page)->Text(row, 0));
      std::vector<Param> one{Param::Text(owner), LatestFor(read_at_ms), Param::Text(user)};
      // Clients see it: the version rises.
      const pg::ResultOr taken = co_await pool_.Execute(
          LaneOf(owner),
          "WITH " ROOKERY_FRESH
          ", changed AS (UPDATE roster_items SET approved = false, revision = revision + 1 "
          "WHERE owner = $1 AND jid = $3 AND approved AND " ROOKERY_IS_FRESH
          " RETURNING 1), bump AS (UPDATE roster_versions SET version = version + 1 "
          "WHERE owner = $1 AND EXISTS (SELECT 1 FROM changed)) "
          "SELECT " ROOKERY_IS_FRESH ", 1",
          std::move(one));
      ROOKERY_CO_RETURN_IF_ERROR(OutcomeOf(taken));
      if (deadline.IsExpired()) co_return absl::UnavailableError("there are more approvals to take back");
    }
    if (static_cast<std::int64_t>((*page)->rows()) < kSweepPage) co_return absl::OkStatus();
  }
}

Task<absl::Status> PgRosterStore::RemoveAll(std::string owner, Removal removal) {
  // First: who is asked again before it is done does it again.
  ROOKERY_CO_RETURN_IF_ERROR(co_await TakeBackApprovals(owner, removal.read_at_ms));
  std::vector<Param> params{Param::Text(owner), LatestFor(removal.read_at_ms),
                            Param::Text(removal.request_id), Param::Bytes(removal.response)};
  const pg::ResultOr removed = co_await pool_.Execute(
      LaneOf(owner),
      "WITH " ROOKERY_FRESH ", i AS (DELETE FROM roster_items WHERE owner = $1 AND " ROOKERY_IS_FRESH
      "), v AS (DELETE FROM roster_versions WHERE owner = $1 AND " ROOKERY_IS_FRESH
      "), b AS (DELETE FROM block_lists WHERE owner = $1 AND " ROOKERY_IS_FRESH
      "), c AS (DELETE FROM vcards WHERE owner = $1 AND " ROOKERY_IS_FRESH
      "), kept AS (INSERT INTO roster_answers (owner, request_id, response, version) "
      "SELECT $1::text, $3::text, $4::bytea, 0 FROM fresh WHERE $3::text <> '') "
      "SELECT " ROOKERY_IS_FRESH ", 1",
      std::move(params));
  co_return OutcomeOf(removed);
}

Task<absl::Status> PgRosterStore::ForgetOldAnswers() {
  const double seconds = static_cast<double>(answers_kept_for_.count()) / 1'000;
  for (;;) {
    // The oldest first, each of their users once. An index cannot be searched for clock_timestamp().
    std::vector<Param> params{Param::Text(std::to_string(seconds)), Param::Int(kSweepPage)};
    const pg::ResultOr page =
        co_await pool_.Execute(0,
                               "SELECT owner, sum(count(*)) OVER () FROM (SELECT owner FROM roster_answers "
                               "WHERE made_at < now() - make_interval(secs => $1::double precision) "
                               "ORDER BY made_at LIMIT $2::bigint) AS oldest GROUP BY owner",
                               std::move(params));
    if (!page.ok()) co_return page.status();
    // Users are found all at once, but each is a transaction of its own.
    for (std::size_t row = 0; row < (*page)->rows(); ++row) {
      const std::string owner((*page)->Text(row, 0));
      std::vector<Param> one{Param::Text(owner), Param::Text(std::to_string(seconds))};
      const pg::ResultOr forgotten =
          co_await pool_.Execute(LaneOf(owner),
                                 "DELETE FROM roster_answers WHERE owner = $1 "
                                 "AND made_at < now() - make_interval(secs => $2::double precision)",
                                 std::move(one));
      if (!forgotten.ok()) co_return forgotten.status();
    }
    if ((*page)->rows() == 0 || (*page)->Int(0, 1) < kSweepPage) co_return absl::OkStatus();
    co_await runtime::Sleep(kSweepPause);
  }
}

}  // namespace rookery::roster
