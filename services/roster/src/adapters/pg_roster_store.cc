#include "adapters/pg_roster_store.h"

#include <functional>

namespace rookery::roster {

namespace {

using pg::Param;

std::uint64_t LaneOf(std::string_view owner) { return std::hash<std::string_view>{}(owner); }

/// Groups travel as one text, separated by U+001F, which XML cannot contain.
constexpr char kGroupSeparator = '\x1f';

std::vector<std::string> SplitGroups(std::string_view joined) {
  std::vector<std::string> groups;
  while (!joined.empty()) {
    const std::size_t end = joined.find(kGroupSeparator);
    groups.emplace_back(joined.substr(0, end));
    if (end == std::string_view::npos) break;
    joined.remove_prefix(end + 1);
  }
  return groups;
}

// The columns that ReadContact reads, from its first column on.
#define ROOKERY_CONTACT_COLUMNS                                                                             \
  "jid, name, coalesce((SELECT string_agg(g, chr(31) ORDER BY n) FROM unnest(groups) WITH ORDINALITY AS u " \
  "(g, n)), ''), subscription, "                                                                            \
  "pending_out, pending_in, approved, listed, coalesce(request, ''), revision"

#define ROOKERY_VERSION_WITH(contacts)                                                \
  "SELECT v.version, i.* FROM (SELECT coalesce((SELECT version FROM roster_versions " \
  "WHERE owner = $1), 0) AS version) AS v LEFT JOIN (" contacts ") AS i ON true ORDER BY i.jid"

// Raises the version by `by`; a roster's first one is the time, in ms.
#define ROOKERY_BUMP(by, from)                                                   \
  "INSERT INTO roster_versions (owner, version) "                                \
  "SELECT $1::text, (extract(epoch FROM clock_timestamp()) * 1000)::bigint" from \
  " "                                                                            \
  "ON CONFLICT (owner) DO UPDATE SET version = roster_versions.version + " by "::int RETURNING version"

Contact ReadContact(const pg::Result& rows, std::size_t row, std::size_t first) {
  Contact contact;
  contact.jid = rows.Text(row, first);
  contact.name = rows.Text(row, first + 1);
  contact.groups = SplitGroups(rows.Text(row, first + 2));
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
    if (!rows.IsNull(i, 1)) roster.contacts.push_back(ReadContact(rows, i, 1));
  }
  return roster;
}

absl::StatusOr<std::uint64_t> VersionOf(const pg::ResultOr& result) {
  if (!result.ok()) {
    if (absl::IsAlreadyExists(result.status())) return absl::AbortedError("the contact has changed");
    return result.status();
  }
  if ((*result)->rows() == 0) return absl::AbortedError("the contact has changed");
  return static_cast<std::uint64_t>((*result)->Int(0, 0));
}

}  // namespace

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

Task<absl::StatusOr<std::optional<Contact>>> PgRosterStore::Find(std::string owner, std::string jid) {
  std::vector<Param> params{Param::Text(owner), Param::Text(jid)};
  auto result = co_await pool_.Execute(
      LaneOf(owner), "SELECT " ROOKERY_CONTACT_COLUMNS " FROM roster_items WHERE owner = $1 AND jid = $2",
      std::move(params));
  if (!result.ok()) co_return result.status();
  std::optional<Contact> contact;
  if ((*result)->rows() > 0) contact = ReadContact(**result, 0, 0);
  co_return contact;
}

Task<absl::StatusOr<RosterStore::Counts>> PgRosterStore::Count(std::string owner) {
  std::vector<Param> params{Param::Text(owner)};
  auto result =
      co_await pool_.Execute(LaneOf(owner),
                             "SELECT count(*) FILTER (WHERE listed), count(*) FILTER (WHERE pending_in) "
                             "FROM roster_items WHERE owner = $1",
                             std::move(params));
  if (!result.ok()) co_return result.status();
  co_return Counts{(*result)->Int(0, 0), (*result)->Int(0, 1)};
}

Task<absl::StatusOr<std::uint64_t>> PgRosterStore::Save(std::string owner, Contact contact, bool is_visible) {
  std::vector<Param> params{Param::Text(owner),
                            Param::Text(contact.jid),
                            Param::Text(contact.name),
                            Param::TextArray(contact.groups),
                            Param::Int((contact.state.to ? 1 : 0) | (contact.state.from ? 2 : 0)),
                            Param::Bool(contact.state.pending_out),
                            Param::Bool(contact.state.pending_in),
                            Param::Bool(contact.state.approved),
                            Param::Bool(contact.listed),
                            contact.request.empty() ? Param::Null() : Param::Bytes(contact.request),
                            Param::Int(is_visible ? 1 : 0)};
  if (contact.revision == 0) {
    auto inserted = co_await pool_.Execute(
        LaneOf(owner),
        "WITH bump AS (" ROOKERY_BUMP("$11", "") ") "
        "INSERT INTO roster_items (owner, jid, name, groups, subscription, pending_out, pending_in, approved, listed, "
        "request) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING (SELECT version FROM bump)",
        std::move(params));
    co_return VersionOf(inserted);
  }
  params.push_back(Param::Int(contact.revision));
  auto updated = co_await pool_.Execute(
      LaneOf(owner),
      "WITH changed AS (UPDATE roster_items SET name = $3, groups = $4, subscription = $5, pending_out = $6, "
      "pending_in = $7, approved = $8, listed = $9, request = $10, revision = revision + 1 "
      "WHERE owner = $1 AND jid = $2 AND revision = $12 RETURNING 1) " ROOKERY_BUMP("$11", " FROM changed"),
      std::move(params));
  co_return VersionOf(updated);
}

Task<absl::StatusOr<std::uint64_t>> PgRosterStore::Remove(std::string owner, std::string jid,
                                                          std::int64_t revision, bool is_visible) {
  std::vector<Param> params{Param::Text(owner), Param::Text(jid), Param::Int(revision),
                            Param::Int(is_visible ? 1 : 0)};
  auto removed = co_await pool_.Execute(LaneOf(owner),
                                        "WITH gone AS (DELETE FROM roster_items WHERE owner = $1 AND jid = "
                                        "$2 AND revision = $3 RETURNING 1) " ROOKERY_BUMP("$4", " FROM gone"),
                                        std::move(params));
  co_return VersionOf(removed);
}

Task<absl::Status> PgRosterStore::RemoveAll(std::string owner) {
  std::vector<Param> params{Param::Text(owner)};
  auto result = co_await pool_.Execute(LaneOf(owner),
                                       "WITH i AS (DELETE FROM roster_items WHERE owner = $1) "
                                       "DELETE FROM roster_versions WHERE owner = $1",
                                       std::move(params));
  co_return result.status();
}

}  // namespace rookery::roster
