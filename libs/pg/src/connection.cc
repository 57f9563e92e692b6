#include "connection.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "connect.h"
#include "rookery/base/backoff_delays.h"
#include "rookery/telemetry/log.h"

namespace rookery::pg {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

PoolMetrics::PoolMetrics(telemetry::Metrics& metrics)
    : succeeded(metrics.Counter("pg_statements_total", "SQL statements answered", {{"result", "ok"}})),
      failed(metrics.Counter("pg_statements_total", "SQL statements answered", {{"result", "error"}})),
      refused(metrics.Counter("pg_statements_total", "SQL statements answered", {{"result", "not_sent"}})),
      connects(metrics.Counter("pg_connects_total", "Connections made to PostgreSQL")),
      losses(metrics.Counter("pg_connection_losses_total", "Connections to PostgreSQL that broke")),
      connected(metrics.Gauge("pg_connections", "Connections to PostgreSQL that are up")),
      waiting(metrics.Gauge("pg_statements_waiting", "SQL statements that wait for an answer")),
      seconds(metrics.Histogram("pg_statement_seconds", "From giving an SQL statement to its answer",
                                {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5})) {}

Connection::Connection(asio::io_context& io, const Options& options, const PoolMetrics& metrics,
                       std::shared_ptr<runtime::Event> reached)
    : io_(io),
      options_(options),
      metrics_(metrics),
      reached_(std::move(reached)),
      socket_(io),
      patience_(2 * options.timeout),
      timeout_(io),
      broken_(io) {}

Task<void> Connection::Run(std::shared_ptr<Connection> self) {
  BackoffDelays backoff(kBackendRetries);
  std::string last_reason;
  while (!self->is_stopped_) {
    absl::StatusOr<ConnectionPtr> connection = co_await Connect(self->io_, self->options_, true);
    if (self->is_stopped_) co_return;
    if (connection.ok()) {
      self->Install(*std::move(connection));
      backoff.Reset();
      last_reason.clear();
      self->reached_->Notify();
      // Install may have found it broken at once.
      if (self->is_ready()) {
        self->broken_.expires_at(Clock::time_point::max());
        co_await self->broken_.async_wait(asio::as_tuple(asio::use_awaitable));
      }
      if (self->is_stopped_) co_return;
    } else if (std::string reason(connection.status().message()); reason != last_reason) {
      // Once a reason, not once a try.
      telemetry::LogWarn("pg.connect_failed", {{"reason", reason}});
      last_reason = std::move(reason);
    }
    // Spread, so that the replicas of a service do not come back in step.
    co_await self->reached_->Wait(Deadline::After(backoff.Next()));
  }
}

void Connection::Stop() {
  is_stopped_ = true;
  Break("stopped");
}

void Connection::Install(ConnectionPtr connection) {
  connection_ = std::move(connection);
  ++generation_;
  prepared_.clear();
  metrics_.connects.Increment();
  metrics_.connected.Increment();
  if (PQenterPipelineMode(connection_.get()) != 1) return Break("no pipeline mode");
  if (absl::Status status = AssignSocket(socket_, connection_.get()); !status.ok()) {
    return Break(std::string(status.message()));
  }
  telemetry::LogInfo("pg.connected", {{"server_version", PQserverVersion(connection_.get())}});
  WaitReadable();
}

void Connection::Send(const char* sql, const std::vector<Param>& params, Answer answer) {
  if (!connection_) {
    metrics_.refused.Increment();
    answer.Set(absl::UnavailableError("no connection to PostgreSQL"));
    return;
  }
  Statement statement{sql, std::move(answer), Clock::now(), false, false, absl::OkStatus(), nullptr};
  const bool is_sent = Enqueue(sql, params, &statement.is_preparing);
  statements_.push_back(std::move(statement));
  metrics_.waiting.Increment();
  if (!is_sent) return Break(OneLine(PQerrorMessage(connection_.get())));
  ArmTimeout();
  Flush();
}

bool Connection::Enqueue(const char* sql, const std::vector<Param>& params, bool* is_preparing) {
  const int count = static_cast<int>(params.size());
  std::vector<const char*> values(params.size());
  std::vector<int> sizes(params.size()), formats(params.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (!params[i].value) continue;
    values[i] = params[i].value->data();
    sizes[i] = static_cast<int>(params[i].value->size());
    formats[i] = params[i].is_bytes ? 1 : 0;
  }
  auto [entry, is_new] = prepared_.try_emplace(sql);
  if (is_new) {
    entry->second = absl::StrCat("s", ++names_);
    if (PQsendPrepare(connection_.get(), entry->second.c_str(), sql, count, nullptr) != 1) return false;
    *is_preparing = true;
  }
  return PQsendQueryPrepared(connection_.get(), entry->second.c_str(), count, values.data(), sizes.data(),
                             formats.data(), 0) == 1 &&
         PQpipelineSync(connection_.get()) == 1;
}

void Connection::WaitReadable() {
  socket_.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [self = shared_from_this(), generation = generation_](const boost::system::error_code& error) {
        if (generation == self->generation_ && !error) self->OnReadable();
      });
}

void Connection::OnReadable() {
  if (PQconsumeInput(connection_.get()) != 1) return Break(OneLine(PQerrorMessage(connection_.get())));
  heard_ = Clock::now();
  const std::uint64_t generation = generation_;
  ReadResults();
  if (generation != generation_) return;
  // Reading may have made room for what could not be written.
  Flush();
  if (generation == generation_) WaitReadable();
}

void Connection::Flush() {
  const int left = PQflush(connection_.get());
  if (left < 0) return Break(OneLine(PQerrorMessage(connection_.get())));
  if (left > 0) WaitWritable();
}

void Connection::WaitWritable() {
  if (is_waiting_writable_) return;
  is_waiting_writable_ = true;
  socket_.async_wait(
      asio::posix::stream_descriptor::wait_write,
      [self = shared_from_this(), generation = generation_](const boost::system::error_code& error) {
        if (generation != self->generation_) return;
        self->is_waiting_writable_ = false;
        if (!error) self->Flush();
      });
}

void Connection::ReadResults() {
  const std::uint64_t generation = generation_;
  int nulls = 0;
  while (!statements_.empty() && PQisBusy(connection_.get()) == 0) {
    ResultPtr result(PQgetResult(connection_.get()));
    if (!result) {
      // One ends each command; several say that libpq waits for nothing.
      if (++nulls > 3) return Break("answers out of step");
      continue;
    }
    nulls = 0;
    OnResult(std::move(result));
    if (generation != generation_) return;
  }
  if (PQstatus(connection_.get()) == CONNECTION_BAD) Break(OneLine(PQerrorMessage(connection_.get())));
}

void Connection::OnResult(ResultPtr result) {
  Statement& statement = statements_.front();
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
      if (statement.is_preparing) {
        statement.is_preparing = false;
      } else {
        statement.result = std::move(result);
      }
      return;
    case PGRES_FATAL_ERROR: {
      if (!statement.error.ok()) return;
      statement.error = StatusOfError(result.get());
      const std::string_view state = SqlState(result.get());
      // 25006: the session is read-only, since its server became a standby. Only a new one can be otherwise.
      if (state == "25006") return Break("the server takes no changes");
      // 26000: no such prepared statement, 0A000: its plan no longer fits the tables.
      const bool is_stale = !statement.is_preparing && (state == "26000" || state == "0A000");
      if (is_stale) statement.error = absl::AbortedError(statement.error.message());
      if (statement.is_preparing || is_stale) prepared_.erase(statement.sql);
      return;
    }
    case PGRES_PIPELINE_ABORTED:
      if (statement.error.ok()) statement.error = absl::InternalError("aborted");
      return;
    case PGRES_PIPELINE_SYNC: {
      Statement finished = std::move(statement);
      statements_.pop_front();
      Finish(finished);
      return;
    }
    default:
      Break("unexpected kind of answer");
  }
}

void Connection::Finish(Statement& statement) {
  metrics_.waiting.Decrement();
  if (statement.is_given_up) return;
  if (!statement.error.ok()) return Fail(statement, std::move(statement.error));
  if (!statement.result) return Fail(statement, absl::InternalError("no answer"));
  metrics_.seconds.Observe(std::chrono::duration<double>(Clock::now() - statement.given).count());
  metrics_.succeeded.Increment();
  statement.answer.Set(MakeResult(std::move(statement.result)));
}

void Connection::Fail(Statement& statement, absl::Status error) {
  metrics_.seconds.Observe(std::chrono::duration<double>(Clock::now() - statement.given).count());
  metrics_.failed.Increment();
  statement.answer.Set(std::move(error));
}

Clock::time_point Connection::SilentSince() const { return std::max(heard_, statements_.front().given); }

void Connection::ArmTimeout() {
  if (is_timeout_armed_ || statements_.empty()) return;
  is_timeout_armed_ = true;
  // Given up are those at the front, if any: all have the same limit.
  const auto waited_for = std::ranges::find(statements_, false, &Statement::is_given_up);
  Clock::time_point since = SilentSince();
  if (waited_for != statements_.end()) since = std::min(since, waited_for->given);
  timeout_.expires_at(since + patience_);
  timeout_.async_wait(
      [self = shared_from_this(), generation = generation_](const boost::system::error_code& error) {
        if (generation != self->generation_) return;
        self->is_timeout_armed_ = false;
        if (!error) self->OnTimeout();
      });
}

void Connection::OnTimeout() {
  // The statement that it was armed for may be long answered.
  if (statements_.empty()) return;
  const Clock::time_point now = Clock::now();
  if (now >= SilentSince() + patience_) return Break("the server does not answer", true);
  for (Statement& statement : statements_) {
    if (now < statement.given + patience_) break;
    if (std::exchange(statement.is_given_up, true)) continue;
    Fail(statement, absl::DeadlineExceededError("statements before it took too long"));
  }
  ArmTimeout();
}

void Connection::Break(const std::string& reason, bool is_overdue) {
  if (!connection_) return;
  ++generation_;
  metrics_.connected.Decrement();
  if (!is_stopped_) {
    metrics_.losses.Increment();
    telemetry::LogWarn("pg.connection_lost", {{"reason", reason}, {"waiting", statements_.size()}});
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
  connection_.reset();
  timeout_.cancel();
  is_waiting_writable_ = is_timeout_armed_ = false;
  std::deque<Statement> lost;
  lost.swap(statements_);
  for (Statement& statement : lost) {
    statement.result.reset();
    // An error that was already told stays the truth; a result was never committed for certain.
    if (statement.error.ok() && !statement.is_given_up) {
      statement.error = is_overdue ? absl::DeadlineExceededError(reason) : absl::UnavailableError(reason);
      is_overdue = false;
    }
    Finish(statement);
  }
  broken_.cancel();
}

}  // namespace rookery::pg
