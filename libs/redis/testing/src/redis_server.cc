#include "rookery/testing/redis_server.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <utility>

namespace rookery::testing {

std::string RunCommand(const std::vector<std::string>& command) {
  const TemporaryDirectory directory("rookery-run-");
  const std::string log = directory.path() + "/output";
  ChildProcess process(command, log);
  process.Wait();
  std::ifstream output(log);
  return {std::istreambuf_iterator<char>(output), {}};
}

RedisServer::RedisServer(std::vector<std::string> extra_options)
    : directory_("rookery-redis-"), extra_options_(std::move(extra_options)), port_(FreePort()) {
  // The bus of a cluster node listens at port + 10000.
  while (port_ > 55'000) port_ = static_cast<std::uint16_t>(20'000 + FreePort() % 12'000);
  Start();
}

void RedisServer::Start() {
  for (int attempt = 0; attempt < 20; ++attempt) {
    std::vector<std::string> command{"redis-server",   "--port", std::to_string(port_), "--bind", "127.0.0.1",
                                     "--save",         "",       "--appendonly",        "no",     "--dir",
                                     directory_.path()};
    command.insert(command.end(), extra_options_.begin(), extra_options_.end());
    process_ = std::make_unique<ChildProcess>(std::move(command), directory_.path() + "/log");
    for (int i = 0; i < 500 && process_->IsRunning(); ++i) {
      if (Cli({"PING"}).find("PONG") != std::string::npos) return;
      if (Cli({"PING"}).find("NOAUTH") != std::string::npos) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    // Somebody took the port in between.
    port_ = static_cast<std::uint16_t>(20'000 + FreePort() % 12'000);
  }
  throw std::runtime_error("redis-server does not start");
}

void RedisServer::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait();
}

std::string RedisServer::Cli(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command{"redis-cli", "-p", std::to_string(port_)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RunCommand(command);
}

}  // namespace rookery::testing
