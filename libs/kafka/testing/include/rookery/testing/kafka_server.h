#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rookery/testing/child_process.h"

namespace rookery::testing {

/// A real Apache Kafka (KRaft, one node) on free loopback ports, in a directory that goes with
/// it. Throws std::runtime_error when it does not start.
class KafkaServer {
 public:
  KafkaServer();
  /// One for the whole test binary.
  static KafkaServer& Shared();

  /// host:port
  const std::string& address() const { return address_; }
  pid_t pid() const { return process_->pid(); }
  /// kill -9; the data stays.
  void Kill() { process_.reset(); }
  /// Starts it again on the same ports, without waiting. Main thread: it dies with its parent thread.
  void Launch();
  /// Blocks until it answers.
  void AwaitReady() const;

 private:
  std::vector<std::string> Java(const std::string& main_class) const;

  TemporaryDirectory directory_;
  std::string jars_;
  std::string address_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace rookery::testing
