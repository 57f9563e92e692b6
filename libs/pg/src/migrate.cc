#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "connect.h"
#include "libpq.h"
#include "rookery/base/check.h"
#include "rookery/base/status.h"
#include "rookery/pg/pool.h"
#include "rookery/telemetry/log.h"

namespace rookery::pg {
namespace {

// Any number will do as long as nobody else locks it.
constexpr char kLock[] = "7596034921537";

/// Runs scripts (several statements each) one after the other.
class Session {
 public:
  Session(asio::io_context& io, ConnectionPtr connection) : connection_(std::move(connection)), socket_(io) {}

  absl::Status Start() { return AssignSocket(socket_, connection_.get()); }

  std::string Quote(std::string_view text) {
    char* quoted = PQescapeLiteral(connection_.get(), text.data(), text.size());
    std::string result(quoted != nullptr ? quoted : "''");
    PQfreemem(quoted);
    return result;
  }

  /// The last statement's result, or the first error's status.
  Task<absl::StatusOr<std::unique_ptr<Result>>> Run(std::string script) {
    if (PQsendQuery(connection_.get(), script.c_str()) != 1) co_return Lost();
    while (true) {
      const int left = PQflush(connection_.get());
      if (left < 0) co_return Lost();
      if (left == 0) break;
      // The server may have to be read before it reads on.
      const absl::Status written = co_await Wait(asio::posix::stream_descriptor::wait_write);
      if (!written.ok() || PQconsumeInput(connection_.get()) != 1) co_return Lost();
    }
    absl::Status error;
    ResultPtr last;
    while (true) {
      while (PQisBusy(connection_.get()) != 0) {
        const absl::Status readable = co_await Wait(asio::posix::stream_descriptor::wait_read);
        if (!readable.ok() || PQconsumeInput(connection_.get()) != 1) co_return Lost();
      }
      ResultPtr result(PQgetResult(connection_.get()));
      if (!result) break;
      if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR && error.ok())
        error = StatusOfError(result.get());
      last = std::move(result);
    }
    if (!error.ok()) co_return error;
    if (!last) co_return absl::InternalError("empty script");
    co_return MakeResult(std::move(last));
  }

 private:
  absl::Status Lost() { return absl::UnavailableError(OneLine(PQerrorMessage(connection_.get()))); }

  Task<absl::Status> Wait(asio::posix::stream_descriptor::wait_type direction) {
    const auto [error] = co_await socket_.async_wait(direction, asio::as_tuple(asio::use_awaitable));
    if (error) co_return absl::UnavailableError(error.message());
    co_return absl::OkStatus();
  }

  ConnectionPtr connection_;
  asio::posix::stream_descriptor socket_;
};

}  // namespace

Task<absl::Status> Migrate(asio::io_context& io, const Options& options, std::string component,
                           std::vector<Migration> migrations) {
  for (std::size_t i = 1; i < migrations.size(); ++i) {
    ROOKERY_CHECK(migrations[i - 1].version < migrations[i].version);
  }
  absl::StatusOr<ConnectionPtr> connection = co_await Connect(io, options, false);
  if (!connection.ok()) co_return connection.status();
  Session session(io, *std::move(connection));
  ROOKERY_CO_RETURN_IF_ERROR(session.Start());

  // The lock is the connection's and goes with it.
  ResultOr locked = co_await session.Run(
      absl::StrCat("SET lock_timeout = '60s'; SELECT pg_advisory_lock(", kLock, "); SET lock_timeout = 0"));
  if (!locked.ok()) co_return absl::UnavailableError(locked.status().message());
  ResultOr created = co_await session.Run(
      "CREATE TABLE IF NOT EXISTS schema_migrations (component text NOT NULL, version integer NOT NULL, "
      "name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))");
  ROOKERY_CO_RETURN_IF_ERROR(created.status());
  ResultOr newest =
      co_await session.Run(absl::StrCat("SELECT coalesce(max(version), 0) FROM schema_migrations ",
                                        "WHERE component = ", session.Quote(component)));
  ROOKERY_CO_RETURN_IF_ERROR(newest.status());
  const std::int64_t applied = (*newest)->Int(0, 0);
  const int known = migrations.empty() ? 0 : migrations.back().version;
  if (applied > known) {
    co_return absl::FailedPreconditionError(absl::StrCat("the database has version ", applied, " of ",
                                                         component, "'s tables, this program knows up to ",
                                                         known));
  }
  for (const Migration& migration : migrations) {
    if (migration.version <= applied) continue;
    ResultOr done = co_await session.Run(absl::StrCat(
        "BEGIN;\n", std::string(migration.sql),
        "\n;INSERT INTO schema_migrations (component, version, name) VALUES (", session.Quote(component),
        ", ", migration.version, ", ", session.Quote(migration.name), ");COMMIT"));
    if (!done.ok()) {
      co_return absl::Status(done.status().code(), absl::StrCat("migration ", std::string(migration.name),
                                                                ": ", done.status().message()));
    }
    telemetry::LogInfo("pg.migrated",
                       {{"component", component}, {"version", migration.version}, {"name", migration.name}});
  }
  co_return absl::OkStatus();
}

}  // namespace rookery::pg
