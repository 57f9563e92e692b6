// A service that does what the test tells it by configuration.
#include <signal.h>

#include <boost/asio/post.hpp>
#include <stdexcept>

#include "rookery/app/app.h"
#include "rookery/config/files.h"
#include "rookery/telemetry/log.h"

namespace rookery::app {
namespace {

class TestService final : public App {
 public:
  static constexpr AppDescription kDescription{"test-service", "A service for tests"};
  struct Config {
    std::string start = "ok";
    std::string stop = "ok";
    std::string ready = "yes";
    std::string password;
    std::int64_t number = 1;
    void Bind(config::Schema& schema) {
      schema.BindChoice("start", &start, {"ok", "fail", "throw", "hang", "end"}, "How starting goes");
      schema.BindChoice("stop", &stop, {"ok", "hang", "throw"}, "How stopping goes");
      schema.Bind("ready", &ready, "yes, or why not");
      schema.BindSecret("password", &password, "A secret");
      schema.Bind("number", &number, "An even number or 1", 0, 100);
    }
    void Validate(config::Problems& problems) const {
      if (number != 1 && number % 2 != 0) problems.Add("number", "must be even");
    }
    void CheckFiles(config::Problems& problems) const {
      if (ready.starts_with('/') && !config::CheckReadable(ready).ok()) problems.Add("ready", "is no file");
    }
  };

  TestService(Process& process, const Config& config) : process_(process), config_(config) {}

  Task<absl::Status> Start() override {
    if (config_.start == "fail") co_return absl::UnavailableError("the backend\nis away");
    if (config_.start == "throw") throw std::runtime_error("thrown by Start");
    if (config_.start == "hang") co_await runtime::Sleep(std::chrono::hours(1));
    if (config_.start == "end") {
      asio::post(process_.io, [this] { process_.fail(absl::AbortedError("another one\nhas the name")); });
    }
    // Would end the process if it were not ignored.
    ::raise(SIGPIPE);
    co_return absl::OkStatus();
  }
  Task<void> Stop() override {
    telemetry::LogInfo("test.stopping");
    if (config_.stop == "throw") throw std::runtime_error("thrown by Stop");
    if (config_.stop == "hang") co_await runtime::Sleep(std::chrono::hours(1));
    telemetry::LogInfo("test.stopped");
  }
  std::string NotReadyReason() const override { return config_.ready == "yes" ? "" : config_.ready; }
  void Reload() override { telemetry::LogWarn("test.reloaded"); }

 private:
  Process& process_;
  const Config config_;
};

}  // namespace
}  // namespace rookery::app

int main(int argc, char** argv) { return rookery::app::Main<rookery::app::TestService>(argc, argv); }
