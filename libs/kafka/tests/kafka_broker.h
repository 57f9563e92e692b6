#pragma once

#include <sys/types.h>

#include <string>

namespace rookery::kafka {

/// A real Apache Kafka (KRaft, one node) on free loopback ports, in a directory that
/// goes with it. One for the whole test binary. Failing to start ends the test run.
class KafkaBroker {
 public:
  static KafkaBroker& Shared();

  ~KafkaBroker();
  /// host:port
  const std::string& address() const { return address_; }
  pid_t pid() const { return pid_; }
  /// kill -9; the data stays.
  void Kill();
  /// Starts it again on the same ports, without waiting. Main thread: it dies with its parent thread.
  void Launch();
  /// Blocks until it answers.
  void AwaitReady() const;

 private:
  KafkaBroker();
  pid_t Spawn(const std::string& arguments, const char* log) const;

  std::string directory_;
  std::string libs_;
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace rookery::kafka
