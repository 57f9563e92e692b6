#pragma once

#include <sys/types.h>

#include <string>

namespace rookery::rpc {

/// A second process of this test binary, started with one argument, which says its
/// address on a line of its own, "address=…". Killed at the end.
class ChildProcess {
 public:
  explicit ChildProcess(const std::string& argument);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  const std::string& address() const { return address_; }
  void Signal(int signal);

 private:
  pid_t pid_ = -1;
  std::string address_;
};

}  // namespace rookery::rpc
