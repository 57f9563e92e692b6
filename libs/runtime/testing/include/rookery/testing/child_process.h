#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace rookery::testing {

/// A directory that goes with the object, and everything in it.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& prefix);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A real backend's process, for integration tests: dies with the test, however that
/// ends. stdout and stderr go to `log_file`.
class ChildProcess {
 public:
  /// `user`: whom it runs as when the test runs as root; empty: whoever the test runs as.
  ChildProcess(std::vector<std::string> command, std::string log_file, std::string user = "");
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool IsRunning();
  void Signal(int signal) const;
  /// Waits for its end; the exit status, or 128 + the signal.
  int Wait();

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

/// A TCP port on 127.0.0.1 that nobody listens on just now.
std::uint16_t FreePort();

}  // namespace rookery::testing
