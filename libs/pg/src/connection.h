#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "libpq.h"
#include "rookery/pg/pool.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::pg {

struct PoolMetrics {
  explicit PoolMetrics(telemetry::Metrics& metrics);
  prometheus::Counter& succeeded;
  prometheus::Counter& failed;
  prometheus::Counter& refused;
  prometheus::Counter& connects;
  prometheus::Counter& losses;
  prometheus::Gauge& connected;
  prometheus::Gauge& waiting;
  prometheus::Histogram& seconds;
};

/// One connection in pipeline mode. Each statement is followed by its own Sync: an
/// error ends what comes before the next Sync, and a statement is only committed
/// when its Sync is answered, so nothing is told to the caller before that.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Answer = runtime::Promise<ResultOr>;

  /// `reached`: the pool's, notified when one of its connections is made, so that the others are tried at
  /// once.
  Connection(asio::io_context& io, const Options& options, const PoolMetrics& metrics,
             std::shared_ptr<runtime::Event> reached);
  /// Connects, serves, connects again; ends with Stop.
  static Task<void> Run(std::shared_ptr<Connection> self);
  /// Fails what waits.
  void Stop();

  bool is_ready() const { return connection_ != nullptr; }
  std::size_t waiting() const { return statements_.size(); }
  void Send(const char* sql, const std::vector<Param>& params, Answer answer);

 private:
  struct Statement {
    const char* sql;
    Answer answer;
    std::chrono::steady_clock::time_point given;
    bool is_preparing;  // its first result is that of PREPARE
    bool is_given_up;   // its caller has been told; the answer is still to come
    absl::Status error;
    ResultPtr result;
  };

  void Install(ConnectionPtr connection);
  bool Enqueue(const char* sql, const std::vector<Param>& params, bool* is_preparing);
  void WaitReadable();
  void WaitWritable();
  void OnReadable();
  void Flush();
  void ReadResults();
  void OnResult(ResultPtr result);
  void Finish(Statement& statement);
  void Fail(Statement& statement, absl::Status error);
  /// Since when the server owes an answer and has said nothing.
  std::chrono::steady_clock::time_point SilentSince() const;
  void ArmTimeout();
  void OnTimeout();
  /// Gives the connection up: `overdue` for the first that waits, UNAVAILABLE for the rest.
  void Break(const std::string& reason, bool is_overdue = false);

  asio::io_context& io_;
  const Options options_;
  const PoolMetrics metrics_;
  const std::shared_ptr<runtime::Event> reached_;
  ConnectionPtr connection_;
  std::uint64_t generation_ = 0;  // handlers of an older connection do nothing
  asio::posix::stream_descriptor socket_;
  bool is_waiting_writable_ = false;
  // The server ends a statement at options_.timeout, each by itself. Ours comes later, so that it ends what
  // the server does not: a connection on which nothing comes any more, and the wait behind others that are
  // slow.
  const std::chrono::milliseconds patience_;
  std::chrono::steady_clock::time_point heard_;  // when the server last sent anything
  asio::steady_timer timeout_;
  bool is_timeout_armed_ = false;
  asio::steady_timer broken_;  // a condition: cancelled when the connection breaks
  std::deque<Statement> statements_;
  std::unordered_map<const char*, std::string> prepared_;
  std::uint64_t names_ = 0;
  bool is_stopped_ = false;
};

}  // namespace rookery::pg
