#include "adapters/pg_account_store.h"

#include <functional>

namespace rookery::session_manager {

namespace {

using pg::Param;

std::uint64_t LaneOf(std::string_view owner) { return std::hash<std::string_view>{}(owner); }

/// The keys travel as one protobuf: nothing in the database ever looks inside.
std::string Pack(const AccountStore::Keys& keys) {
  session::v1::Credentials packed;
  for (const auto& key : keys) *packed.add_keys() = key;
  return packed.SerializeAsString();
}

}  // namespace

Task<absl::StatusOr<AccountStore::Keys>> PgAccountStore::GetKeys(std::string user) {
  std::vector<Param> params{Param::Text(user)};
  auto result =
      co_await pool_.Execute(LaneOf(user), "SELECT keys FROM accounts WHERE owner = $1", std::move(params));
  if (!result.ok()) co_return result.status();
  Keys keys;
  if ((*result)->rows() == 0) co_return keys;
  session::v1::Credentials packed;
  if (!packed.ParseFromString((*result)->Bytes(0, 0)))
    co_return absl::DataLossError("the account's keys cannot be read");
  keys.assign(packed.keys().begin(), packed.keys().end());
  co_return keys;
}

Task<absl::Status> PgAccountStore::Create(std::string user, Keys keys) {
  std::vector<Param> params{Param::Text(user), Param::Bytes(Pack(keys))};
  auto result = co_await pool_.Execute(LaneOf(user), "INSERT INTO accounts (owner, keys) VALUES ($1, $2)",
                                       std::move(params));
  co_return result.status();
}

Task<absl::Status> PgAccountStore::SetKeys(std::string user, Keys keys) {
  std::vector<Param> params{Param::Text(user), Param::Bytes(Pack(keys))};
  auto result = co_await pool_.Execute(LaneOf(user), "UPDATE accounts SET keys = $2 WHERE owner = $1",
                                       std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->affected() == 0 ? absl::NotFoundError("no such account") : absl::OkStatus();
}

Task<absl::Status> PgAccountStore::Remove(std::string user) {
  std::vector<Param> params{Param::Text(user)};
  // One statement, one owner: all of it or nothing.
  auto result = co_await pool_.Execute(LaneOf(user),
                                       "WITH a AS (DELETE FROM accounts WHERE owner = $1), "
                                       "o AS (DELETE FROM offline_messages WHERE owner = $1), "
                                       "p AS (DELETE FROM session_packets WHERE owner = $1), "
                                       "l AS (DELETE FROM last_activity WHERE owner = $1) "
                                       "DELETE FROM parked_sessions WHERE owner = $1",
                                       std::move(params));
  co_return result.status();
}

Task<absl::StatusOr<bool>> PgAccountStore::Exists(std::string user) {
  std::vector<Param> params{Param::Text(user)};
  auto result =
      co_await pool_.Execute(LaneOf(user), "SELECT 1 FROM accounts WHERE owner = $1", std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->rows() > 0;
}

Task<absl::Status> PgAccountStore::SetLastActivity(std::string user, LastActivity last) {
  std::vector<Param> params{Param::Text(user), Param::Int(last.unix_millis), Param::Text(last.status)};
  auto result = co_await pool_.Execute(
      LaneOf(user),
      "INSERT INTO last_activity (owner, at_ms, status) "
      "SELECT $1, $2::bigint, $3 WHERE EXISTS (SELECT 1 FROM accounts WHERE owner = $1) "
      "ON CONFLICT (owner) DO UPDATE SET at_ms = EXCLUDED.at_ms, status = EXCLUDED.status",
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
