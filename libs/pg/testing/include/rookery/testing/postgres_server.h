#pragma once

#include <memory>
#include <string>

#include "rookery/testing/child_process.h"

namespace rookery::testing {

/// A real PostgreSQL on a free loopback port, its data in a temporary directory,
/// as user postgres when the test runs as root. No fsync: a test's machine does not
/// lose power.
class PostgresServer {
 public:
  PostgresServer();
  ~PostgresServer();

  /// For pg::Options::connection; over TCP on loopback.
  std::string connection() const;
  /// The same over the Unix socket.
  std::string socket_connection() const;
  std::uint16_t port() const { return port_; }

  /// Ends it as an operator's restart does; sessions are told.
  void Stop();
  /// At once, without telling the sessions: as after a crash.
  void Kill();
  void Start();
  ChildProcess& process() { return *process_; }

 private:
  TemporaryDirectory directory_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace rookery::testing
