#include "adapters/pg_account_store.h"

namespace rookery::session_manager {

namespace {

using pg::LaneOf;
using pg::Param;

/// The keys travel as one protobuf: nothing in the database ever looks inside.
std::string Pack(const AccountStore::Keys& keys) {
  session::v1::Credentials packed;
  for (const auto& key : keys) *packed.add_keys() = key;
  return packed.SerializeAsString();
}

absl::StatusOr<AccountStore::Account> Unpack(const std::string& bytes, std::int64_t generation) {
  session::v1::Credentials packed;
  if (!packed.ParseFromString(bytes)) return absl::DataLossError("the account's keys cannot be read");
  AccountStore::Account account;
  account.keys.assign(packed.keys().begin(), packed.keys().end());
  account.generation = static_cast<std::uint64_t>(generation);
  return account;
}

}  // namespace

Task<absl::StatusOr<AccountStore::Account>> PgAccountStore::Find(std::string user) {
  std::vector<Param> params{Param::Text(user)};
  auto result = co_await pool_.Execute(LaneOf(user), "SELECT keys, generation FROM accounts WHERE owner = $1",
                                       std::move(params));
  if (!result.ok()) co_return result.status();
  if ((*result)->rows() == 0) co_return Account{};
  co_return Unpack((*result)->Bytes(0, 0), (*result)->Int(0, 1));
}

Task<absl::StatusOr<AccountStore::Accounts>> PgAccountStore::FindAll(std::vector<std::string> users) {
  Accounts accounts;
  if (users.empty()) co_return accounts;
  std::vector<Param> params{Param::TextArray(users)};
  auto result = co_await pool_.Execute(LaneOf(users.front()),
                                       "SELECT owner, keys, generation FROM accounts WHERE owner = ANY($1)",
                                       std::move(params));
  if (!result.ok()) co_return result.status();
  const pg::Result& rows = **result;
  for (std::size_t i = 0; i < rows.rows(); ++i)
    accounts.emplace_back(std::string(rows.Text(i, 0)), Unpack(rows.Bytes(i, 1), rows.Int(i, 2)));
  co_return accounts;
}

Task<absl::Status> PgAccountStore::Create(std::string user, Account account,
                                          std::chrono::milliseconds reuse_after) {
  std::vector<Param> params{Param::Text(user), Param::Bytes(Pack(account.keys)),
                            Param::Id(account.generation), Param::Int(reuse_after.count())};
  auto result = co_await pool_.Execute(
      LaneOf(user),
      "WITH kept AS (SELECT FROM removed_accounts WHERE owner = $1 "
      "AND removed_at > clock_timestamp() - $4::bigint * interval '1 millisecond'), "
      "forgotten AS (DELETE FROM removed_accounts WHERE owner = $1 AND NOT EXISTS (SELECT FROM kept)) "
      "INSERT INTO accounts (owner, keys, generation) "
      "SELECT $1, $2, $3::bigint WHERE NOT EXISTS (SELECT FROM kept)",
      std::move(params));
  if (!result.ok()) co_return result.status();
  if ((*result)->affected() == 0) co_return absl::AlreadyExistsError("the name is not free again yet");
  co_return absl::OkStatus();
}

Task<absl::Status> PgAccountStore::SetKeys(std::string user, Account before, Keys keys) {
  std::vector<Param> params{Param::Text(user), Param::Bytes(Pack(keys)), Param::Id(before.generation),
                            Param::Bytes(Pack(before.keys))};
  auto result = co_await pool_.Execute(
      LaneOf(user),
      "UPDATE accounts SET keys = $2 WHERE owner = $1 AND generation = $3::bigint AND keys = $4",
      std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->affected() == 0 ? absl::AbortedError("the account has changed") : absl::OkStatus();
}

Task<absl::Status> PgAccountStore::Remove(std::string user, std::uint64_t generation) {
  std::vector<Param> params{Param::Text(user), Param::Id(generation)};
  // One statement, one owner: all of it or nothing.
  auto result = co_await pool_.Execute(
      LaneOf(user),
      "WITH other AS (SELECT FROM accounts WHERE owner = $1 AND generation <> $2::bigint), "
      "a AS (DELETE FROM accounts WHERE owner = $1 AND generation = $2::bigint RETURNING owner), "
      "t AS (INSERT INTO removed_accounts (owner, generation) SELECT owner, $2::bigint FROM a "
      "ON CONFLICT (owner) DO UPDATE SET generation = EXCLUDED.generation, removed_at = "
      "EXCLUDED.removed_at), "
      "o AS (DELETE FROM offline_messages WHERE owner = $1 AND NOT EXISTS (SELECT FROM other)), "
      "p AS (DELETE FROM session_packets WHERE owner = $1 AND NOT EXISTS (SELECT FROM other)), "
      "l AS (DELETE FROM last_activity WHERE owner = $1 AND NOT EXISTS (SELECT FROM other)) "
      "DELETE FROM parked_sessions WHERE owner = $1 AND NOT EXISTS (SELECT FROM other)",
      std::move(params));
  co_return result.status();
}

Task<absl::StatusOr<std::size_t>> PgAccountStore::ForgetRemoved(std::chrono::milliseconds age,
                                                                std::size_t most) {
  std::vector<Param> params{Param::Int(age.count()), Param::Int(static_cast<std::int64_t>(most))};
  // Several processes do this: none waits for another, nor for whoever registers just now.
  auto result = co_await pool_.Execute(
      0,
      "DELETE FROM removed_accounts r USING (SELECT owner FROM removed_accounts "
      "WHERE removed_at < clock_timestamp() - $1::bigint * interval '1 millisecond' "
      "ORDER BY removed_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED) AS old WHERE r.owner = old.owner",
      std::move(params));
  if (!result.ok()) co_return result.status();
  co_return static_cast<std::size_t>((*result)->affected());
}

Task<absl::StatusOr<bool>> PgAccountStore::Exists(std::string user) {
  std::vector<Param> params{Param::Text(user)};
  auto result =
      co_await pool_.Execute(LaneOf(user), "SELECT 1 FROM accounts WHERE owner = $1", std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->rows() > 0;
}

Task<absl::Status> PgAccountStore::SetLastActivities(std::vector<UserActivity> activities) {
  if (activities.empty()) co_return absl::OkStatus();
  std::vector<std::string> owners;
  std::vector<std::int64_t> at_ms;
  std::vector<std::string> texts;
  std::vector<std::uint64_t> generations;
  for (UserActivity& activity : activities) {
    owners.push_back(std::move(activity.user));
    at_ms.push_back(activity.last.unix_millis);
    texts.push_back(std::move(activity.last.status));
    generations.push_back(activity.generation);
  }
  std::vector<Param> params{Param::TextArray(owners), Param::IntArray(at_ms), Param::TextArray(texts),
                            Param::IdArray(generations)};
  // In one order, so that no two processes wait for each other.
  auto result = co_await pool_.Execute(
      LaneOf(owners.front()),
      "INSERT INTO last_activity (owner, at_ms, status) "
      "SELECT a.owner, t.at_ms, t.status "
      "FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) AS t (owner, at_ms, status, "
      "generation) "
      "JOIN accounts a ON a.owner = t.owner AND t.generation IN (0, a.generation) ORDER BY a.owner "
      "ON CONFLICT (owner) DO UPDATE SET at_ms = EXCLUDED.at_ms, status = EXCLUDED.status "
      "WHERE last_activity.at_ms <= EXCLUDED.at_ms",
      std::move(params));
  co_return result.status();
}

Task<absl::StatusOr<std::optional<AccountStore::LastActivity>>> PgAccountStore::GetLastActivity(
    std::string user) {
  std::vector<Param> params{Param::Text(user)};
  auto result = co_await pool_.Execute(
      LaneOf(user), "SELECT at_ms, status FROM last_activity WHERE owner = $1", std::move(params));
  if (!result.ok()) co_return result.status();
  std::optional<LastActivity> last;
  if ((*result)->rows() > 0) last = LastActivity{(*result)->Int(0, 0), std::string((*result)->Text(0, 1))};
  co_return last;
}

}  // namespace rookery::session_manager
