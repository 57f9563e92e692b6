#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "admin.h"
#include "rookery/app/app.h"
#include "rookery/base/random.h"
#include "rookery/net/http.h"
#include "rookery/telemetry/log.h"

extern char** environ;

namespace rookery::app {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h
constexpr std::chrono::milliseconds kLoopProbe{100};

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

std::string WithUnderscores(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

int Fail(const AppDescription& description, std::string_view what, const absl::Status& status,
         int exit_status) {
  // One line, whatever a driver put into its message.
  const std::string message = absl::StrReplaceAll(status.message(), {{"\r", ""}, {"\n", " "}});
  std::fprintf(stderr, "rookery-%s: %s: %s\n", std::string(description.name).c_str(),
               std::string(what).c_str(), message.c_str());
  return exit_status;
}

// One descriptor per client: the soft limit is meant for programs that use select().
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) telemetry::LogWarn("process.descriptor_limit_stays");
}

class Runner {
 public:
  Runner(const AppDescription& description, const CommonConfig& common)
      : description_(description),
        common_(common),
        metrics_(WithUnderscores(description.name)),
        signals_(io_, SIGTERM, SIGINT),
        reload_signal_(io_, SIGHUP),
        drain_timer_(io_),
        probe_(io_) {}

  [[noreturn]] void Run(const std::function<std::unique_ptr<App>(Process&)>& make) {
    const auto work = asio::make_work_guard(io_);
    const auto listened = Listen();
    if (!listened.ok()) Exit(Fail(description_, "cannot serve `admin.address`", listened, kExitFailed));
    ServeSignals();
    ServeReload();
    metrics_.Gauge("build_info", "1, labelled with the version", {{"version", ROOKERY_VERSION}}).Set(1);
    auto& failed_tasks = metrics_.Gauge("failed_tasks", "Coroutines and timers that an exception ended");
    metrics_.OnScrape([&failed_tasks] { failed_tasks.Set(static_cast<double>(runtime::FailedTasks())); });
    loop_lag_ = &metrics_.Histogram("io_loop_lag_seconds", "How much too late the I/O thread came to a timer",
                                    {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5});
    ProbeLoop(asio::steady_timer::clock_type::now() + kLoopProbe);

    process_.emplace(
        Process{io_, blocking_, metrics_, common_, ROOKERY_VERSION, [this](const absl::Status& why) {
                  telemetry::LogError("app.failed", {{"error", why.message()}});
                  Exit(Fail(description_, "cannot go on", why, kExitFailed));
                }});
    LogNow("app.starting", {{"version", ROOKERY_VERSION}, {"pid", ::getpid()}});
    try {
      app_ = make(*process_);
    } catch (const std::exception& e) {
      Exit(Fail(description_, "cannot start", absl::InternalError(e.what()), kExitFailed));
    }
    asio::co_spawn(io_, app_->Start(), [this](std::exception_ptr failure, absl::Status status) {
      OnStarted(ToStatus(failure, std::move(status)));
    });
    for (;;) {
      try {
        io_.run();
      } catch (const std::exception& e) {
        // From a handler that is no coroutine. The one thing that it did is lost, the
        // process's other users are not.
        telemetry::LogError("task.failed", {{"task", "handler"}, {"error", e.what()}});
      }
    }
  }

 private:
  enum class Phase { kStarting, kRunning, kDraining };

  // Whoever started us watches the log for these.
  static void LogNow(std::string_view event, std::initializer_list<telemetry::Field> fields = {}) {
    telemetry::LogInfo(event, fields);
    telemetry::FlushLog();
  }

  // The end of the process, without destructors: everything that matters to others has
  // been done by App::Stop, the kernel takes the rest, and threads of foreign libraries
  // get no chance to hang or to crash the exit.
  [[noreturn]] static void Exit(int status) {
    telemetry::FlushLog();
    std::fflush(nullptr);
    std::_Exit(status);
  }

  static absl::Status ToStatus(const std::exception_ptr& failure, absl::Status status) {
    if (!failure) return status;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      return absl::InternalError(e.what());
    } catch (...) {
      return absl::InternalError("not a std::exception");
    }
  }

  absl::Status Listen() {
    auto server = net::HttpServer::Create(
        io_, common_.admin_address,
        [this](const net::HttpRequest& request) { return AnswerAdmin(request, NotReadyReason(), metrics_); });
    if (!server.ok()) return std::move(server).status();
    admin_ = *std::move(server);
    telemetry::LogInfo("admin.listening", {{"address", admin_->bound_address()}});
    return absl::OkStatus();
  }

  std::string NotReadyReason() const {
    switch (phase_) {
      case Phase::kStarting:
        return "starting";
      case Phase::kDraining:
        return "draining";
      case Phase::kRunning:
        break;
    }
    return app_->NotReadyReason();
  }

  void ServeSignals() {
    signals_.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      // From now on the kernel's default: a second signal ends the process at once.
      boost::system::error_code ignored;
      signals_.clear(ignored);
      Drain(number);
    });
  }

  void ServeReload() {
    reload_signal_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      telemetry::LogInfo("app.reload");
      if (phase_ == Phase::kRunning) app_->Reload();
      ServeReload();
    });
  }

  void ProbeLoop(asio::steady_timer::time_point at) {
    probe_.expires_at(at);
    probe_.async_wait([this, at](const boost::system::error_code& error) {
      if (error) return;
      const auto now = asio::steady_timer::clock_type::now();
      loop_lag_->Observe(std::chrono::duration<double>(now - at).count());
      ProbeLoop(now + kLoopProbe);
    });
  }

  void OnStarted(const absl::Status& status) {
    if (!status.ok()) {
      telemetry::LogError("app.start_failed", {{"error", status.message()}});
      Exit(Fail(description_, "cannot start", status, kExitFailed));
    }
    phase_ = Phase::kRunning;
    LogNow("app.started");
  }

  void Drain(int signal_number) {
    LogNow("app.draining", {{"signal", signal_number}});
    if (phase_ == Phase::kStarting) {
      telemetry::LogInfo("app.stopped", {{"reason", "told to stop while starting"}});
      Exit(0);
    }
    phase_ = Phase::kDraining;
    drain_timer_.expires_after(common_.drain_timeout);
    drain_timer_.async_wait([](const boost::system::error_code& error) {
      if (error) return;
      telemetry::LogError("app.drain_timed_out");
      Exit(0);
    });
    asio::co_spawn(io_, app_->Stop(), [](std::exception_ptr failure) {
      const absl::Status status = ToStatus(failure, absl::OkStatus());
      if (!status.ok()) telemetry::LogError("app.stop_failed", {{"error", status.message()}});
      telemetry::LogInfo("app.stopped");
      Exit(0);
    });
  }

  const AppDescription description_;
  const CommonConfig& common_;
  asio::io_context io_{1};
  asio::thread_pool blocking_{2};
  telemetry::Metrics metrics_;
  asio::signal_set signals_;
  asio::signal_set reload_signal_;
  asio::steady_timer drain_timer_;
  asio::steady_timer probe_;
  prometheus::Histogram* loop_lag_ = nullptr;
  Phase phase_ = Phase::kStarting;
  std::optional<Process> process_;
  std::unique_ptr<net::HttpServer> admin_;
  std::unique_ptr<App> app_;
};

}  // namespace

int RunMain(int argc, char** argv, const AppDescription& description, config::Schema& schema,
            CommonConfig& common, const std::function<void(config::Problems&)>& validate,
            const std::function<std::unique_ptr<App>(Process&)>& make) {
  const std::string program = "rookery-" + std::string(description.name);
  CLI::App command_line{std::string(description.summary), program};
  std::vector<std::string> files;
  std::string jid;
  bool check = false;
  bool print = false;
  bool reference = false;
  command_line.add_option("--config", files, "A YAML file of settings; of several, the later wins")
      ->envname("ROOKERY_CONFIG")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command_line.add_flag("--check-config", check, "Check the configuration and exit");
  command_line.add_flag("--print-config", print, "Print the settings in force, without secrets, and exit");
  command_line.add_flag("--config-reference", reference,
                        "Print every setting with its default and environment variable, and exit");
  command_line
      .add_option("--hash-jid", jid,
                  "Print the hash that logs have in place of this user's address, and exit")
      ->type_name("JID");
  command_line.set_version_flag("--version", program + " " ROOKERY_VERSION);
  command_line.footer(
      absl::StrCat("Settings (file, or environment: see --config-reference):\n", schema.Help()));
  try {
    command_line.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return command_line.exit(e);
  } catch (const CLI::ParseError& e) {
    command_line.exit(e);
    return kExitUsage;
  }
  if (reference) {
    std::fputs(schema.Reference().c_str(), stdout);
    return 0;
  }
  if (!jid.empty()) {
    if (!telemetry::HasSharedJidKey()) {
      return Fail(description, "cannot hash", absl::FailedPreconditionError("ROOKERY_LOG_JID_KEY is not set"),
                  kExitFailed);
    }
    // Logs have the hash of the bare address.
    std::puts(telemetry::HashedJid(std::string_view(jid).substr(0, jid.find('/'))).c_str());
    return 0;
  }
  config::Problems problems = schema.Load(files, Environment());
  common.Validate(problems);
  validate(problems);
  for (const std::string& line : problems.lines()) {
    Fail(description, "wrong configuration", absl::InvalidArgumentError(line), kExitConfig);
  }
  if (!problems.empty()) return kExitConfig;
  if (print) std::fputs(schema.Print().c_str(), stdout);
  if (check) std::fputs("The configuration is valid.\n", print ? stderr : stdout);
  if (print || check) return 0;

  if (common.instance.empty()) {
    common.instance =
        absl::StrCat(std::string(description.name), "-", telemetry::TraceId(RandomU64()).substr(0, 8));
  }
  telemetry::InitLog(description.name, common.instance, common.log_level);
  std::signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  // Never destroyed, as is the app.
  (new Runner(description, common))->Run(make);
}

}  // namespace rookery::app
