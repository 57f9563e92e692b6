#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rookery/config/config.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::app {

/// Options that every service has: `instance`, `log.level`, `admin.address`, `drain-timeout`.
struct CommonConfig {
  /// This process's name in Redis, logs and Kafka. Empty: <service>-<random>, set before the app is made.
  std::string instance;
  std::string log_level = "info";
  std::string admin_address = "127.0.0.1:0";
  std::chrono::milliseconds drain_timeout{20'000};
  void Bind(config::Schema& schema);
  void Validate(config::Problems& problems) const;
};

/// The parts of the process that an App is given.
struct Process {
  asio::io_context& io;
  /// For work that blocks or burns (PBKDF2, flushes): two threads.
  asio::thread_pool& blocking;
  telemetry::Metrics& metrics;
  const CommonConfig& common;
  std::string version;
  /// Ends the process at once, without a drain, where going on would do harm: logs `app.failed`,
  /// one line on stderr, exit status 1.
  std::function<void(const absl::Status& why)> fail;
};

/// A service: built from its configuration, started, stopped once. All calls come on
/// the I/O thread. It is never destroyed: once it has stopped the process ends, so
/// whatever must be flushed or told to others belongs in Stop.
class App {
 public:
  virtual ~App() = default;
  /// Connects, listens. A status that is not OK ends the process with one line and exit status 1.
  virtual Task<absl::Status> Start() = 0;
  /// SIGTERM or SIGINT: stop taking work, hand over, flush. Bounded by drain_timeout.
  /// Not called when the signal comes while Start is running: the process ends at once.
  virtual Task<void> Stop() = 0;
  /// Empty when ready; else why not, one line (shown by /readyz).
  virtual std::string NotReadyReason() const = 0;
  /// SIGHUP: read certificates again and the like.
  virtual void Reload() {}
};

struct AppDescription {
  std::string_view name;     // "session-manager"
  std::string_view summary;  // one line for --help
};

/// Parses the command line (--config, --check-config, --print-config, --config-reference,
/// --hash-jid, --version, --help), loads the configuration, starts logs, the admin listener
/// (/healthz /readyz /metrics; its address is logged as `admin.listening`) and the app,
/// runs until SIGTERM or SIGINT, drains. A second signal ends it at once. SIGPIPE is
/// ignored, the limit of open files raised as far as it goes. Once the app is made the
/// call does not return. Exit status: 0 after a drain (also one that ran out of
/// time, which is logged), 1 when the start failed or Process::fail was called, 2 wrong command
/// line, 78 wrong configuration, with a line on stderr for each mistake.
int RunMain(int argc, char** argv, const AppDescription& description, config::Schema& schema,
            CommonConfig& common, const std::function<void(config::Problems&)>& validate,
            const std::function<std::unique_ptr<App>(Process&)>& make);

/// main() of a service. `A` has kDescription and Config with Bind(Schema&), Validate(Problems&) for the
/// values and CheckFiles(Problems&) for the files that they name, and is made from (Process&, const Config&).
template <typename A>
int Main(int argc, char** argv) {
  config::Schema schema{std::string(A::kDescription.name)};
  CommonConfig common;
  common.Bind(schema);
  typename A::Config config;
  config.Bind(schema);
  return RunMain(
      argc, argv, A::kDescription, schema, common,
      [&](config::Problems& problems) {
        config.Validate(problems);
        config.CheckFiles(problems);
      },
      [&](Process& process) -> std::unique_ptr<App> { return std::make_unique<A>(process, config); });
}

}  // namespace rookery::app
