#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/base/deadline.h"
#include "rookery/config/config.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::pg {

/// A query parameter, sent in text format (bytea as such). nullopt is NULL.
struct Param {
  std::optional<std::string> value;
  bool is_bytes = false;
  static Param Text(std::string_view text) { return {std::string(text), false}; }
  static Param Bytes(std::string_view bytes) { return {std::string(bytes), true}; }
  static Param Int(std::int64_t number) { return {std::to_string(number), false}; }
  /// An id or a counter below 2^63, which is as far as a bigint goes.
  static Param Id(std::uint64_t id) { return Int(static_cast<std::int64_t>(id)); }
  static Param Bool(bool value) { return {value ? "t" : "f", false}; }
  static Param Null() { return {}; }
  /// PostgreSQL array literals, for unnest().
  static Param TextArray(const std::vector<std::string>& values);
  static Param BytesArray(const std::vector<std::string>& values);
  static Param IntArray(const std::vector<std::int64_t>& values);
  static Param IdArray(const std::vector<std::uint64_t>& values);
};

/// Rows of one result, all in memory. Column numbers from 0.
class Result {
 public:
  virtual ~Result() = default;
  virtual std::size_t rows() const = 0;
  virtual bool IsNull(std::size_t row, std::size_t column) const = 0;
  virtual std::string_view Text(std::size_t row, std::size_t column) const = 0;
  virtual std::int64_t Int(std::size_t row, std::size_t column) const = 0;
  virtual bool Bool(std::size_t row, std::size_t column) const = 0;
  virtual std::string Bytes(std::size_t row, std::size_t column) const = 0;
  /// Rows that an INSERT, UPDATE or DELETE touched.
  virtual std::int64_t affected() const = 0;
};

using ResultOr = absl::StatusOr<std::unique_ptr<Result>>;

struct Options {
  /// libpq keywords or URI, without the password.
  std::string connection = "host=127.0.0.1 dbname=rookery";
  std::string password;
  std::int64_t connections = 2;
  std::chrono::milliseconds timeout{5'000};
  /// Statements waiting for an answer, over all connections; beyond it UNAVAILABLE.
  std::size_t max_waiting = 20'000;
  /// Settings of each session, as the server's command line has them: `-c enable_sort=off`. Not an
  /// operator's.
  std::string session_settings;
  void Validate(config::Problems& problems) const;
  /// Those that `connection` names.
  void CheckFiles(config::Problems& problems) const;
  void Bind(config::Schema& schema);  // pg.connection, pg.password, pg.connections, pg.timeout
};

/// The SQLSTATE of a statement that the server has refused (Pool::Execute); empty for all other errors.
std::string SqlStateOf(const absl::Status& status);

/// Whether the server has refused a statement for what it says, and will refuse it whenever it is said again:
/// a value that is none of its type, or one that a constraint forbids (classes 22 and 23). All other errors
/// (a full disk, missing rights, a table or partition that is not there) are of the database: what was to be
/// written is as good as before.
bool IsOfItsData(const absl::Status& status);

/// Whether it was refused because a table has no partition for a row (23514, but of no constraint).
bool IsForWantOfPartition(const absl::Status& status);

/// The lane of statements about what belongs to one owner (an account, a room).
inline std::uint64_t LaneOf(std::string_view owner) { return std::hash<std::string_view>{}(owner); }

/// PostgreSQL over libpq in pipeline mode, no thread blocked. Each statement is its own
/// transaction, and should touch the rows of one owner; statements given within one
/// turn of the loop share a round trip, and those with the same `lane` run in the
/// order given. Statements are prepared once a connection, by address of `sql`, which
/// must live forever. Connects on its own and again after a loss, with backoff. I/O
/// thread only.
class Pool {
 public:
  static std::unique_ptr<Pool> Create(asio::io_context& io, Options options, telemetry::Metrics& metrics);
  virtual ~Pool() = default;

  /// UNAVAILABLE: too many wait, no connection, or it broke (the statement may or may not have run);
  /// DEADLINE_EXCEEDED: the server ended it at options.timeout, or it was not answered within twice that,
  /// behind others that were slow (then it may even run later) or by a server that says nothing;
  /// ALREADY_EXISTS: unique violation; ABORTED: serialization failure, deadlock or a plan made stale by a
  /// migration, try again; INVALID_ARGUMENT: a text with NUL; INTERNAL: anything else, with SQLSTATE. Given
  /// without a connection it fails at once: the caller retries.
  virtual Task<ResultOr> Execute(std::uint64_t lane, const char* sql, std::vector<Param> params) = 0;
  /// Whether every connection is there.
  virtual bool is_connected() const = 0;
  /// Waits until it is so; false when the deadline came first.
  virtual Task<bool> AwaitConnected(Deadline deadline) = 0;
};

struct Migration {
  int version;
  std::string_view name;
  std::string_view sql;
};

/// Applies what is missing, in order, each in a transaction of its own with its row in
/// `schema_migrations(component, version, …)`, under an advisory lock, so that
/// processes that start together do not meet. On a connection of its own. UNAVAILABLE:
/// the server cannot be reached, or another process holds the lock for more than a
/// minute; FAILED_PRECONDITION: the database is newer than `migrations`; INTERNAL: a
/// migration failed, nothing of it remains.
Task<absl::Status> Migrate(asio::io_context& io, const Options& options, std::string component,
                           std::vector<Migration> migrations);

}  // namespace rookery::pg
