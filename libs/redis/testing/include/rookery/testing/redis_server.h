#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rookery/testing/child_process.h"

namespace rookery::testing {

/// A real redis-server on a free loopback port, without persistence.
class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> extra_options = {});

  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// Kills it; what it held is gone.
  void Kill();
  /// Again, on the same port.
  void Start();
  ChildProcess& process() { return *process_; }
  /// Runs redis-cli against it, blocking; gives what it printed.
  std::string Cli(const std::vector<std::string>& arguments) const;

 private:
  TemporaryDirectory directory_;
  std::vector<std::string> extra_options_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

/// Runs a command and gives its output (both streams).
std::string RunCommand(const std::vector<std::string>& command);

}  // namespace rookery::testing
