#include <boost/asio/post.hpp>
#include <list>

#include "absl/strings/str_cat.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

class LoginLoop {
 public:
  explicit LoginLoop(Run& run) : run_(run) {}

  void Start(std::size_t parallel) {
    for (std::size_t i = 0; i < parallel; ++i) Next();
  }
  void Stop() { stopped_ = true; }
  void Measure(bool on) { measuring_ = on; }
  bool idle() const { return open_.empty(); }

  std::uint64_t logins = 0;
  std::uint64_t failures = 0;
  absl::Status first_failure;
  Latencies latencies;

 private:
  void Next() {
    if (stopped_) return;
    const std::size_t index = next_++;
    open_.push_front(std::make_unique<Client>(run_.network(), run_.accounts()[index % run_.accounts().size()],
                                              Client::Options{}));
    const auto self = open_.begin();
    Client& client = **self;
    const Clock::time_point begin = Clock::now();
    const auto ready = std::make_shared<bool>(false);
    client.on_ready = [this, &client, begin, ready] {
      *ready = true;
      if (measuring_) {
        ++logins;
        latencies.Add(Clock::now() - begin);
      }
      client.Close();
      Next();
    };
    client.on_end = [this, self, ready](const absl::Status& status) {
      if (!*ready) {
        ++failures;
        if (first_failure.ok()) first_failure = status;
        // A server that refuses everything must not become a busy loop.
        if (failures > 1000) stopped_ = true;
      }
      const bool again = !*ready;
      asio::post(run_.io(), [this, self, again] {
        open_.erase(self);
        if (again) Next();
      });
    };
    client.Connect(run_.AddressOf(index));
  }

  Run& run_;
  std::list<std::unique_ptr<Client>> open_;
  std::size_t next_ = 0;
  bool stopped_ = false;
  bool measuring_ = false;
};

}  // namespace

void MeasureLogins(Run& run) {
  const CommonOptions& options = run.options();
  LoginLoop loop(run);
  loop.Start(options.parallel);
  run.For(std::chrono::seconds(options.warm_up));
  run.BeginCpu();
  loop.Measure(true);
  const Clock::time_point begin = Clock::now();
  run.For(std::chrono::seconds(options.duration));
  loop.Measure(false);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  run.report().Number("log-ins per second", static_cast<double>(loop.logins) / seconds, "/s");
  run.report().Count("log-ins", loop.logins);
  run.report().Count("failed log-ins", loop.failures);
  run.report().Percentiles("log-in time", loop.latencies);
  run.EndCpu(loop.logins, "log-in");
  if (loop.failures > 0)
    run.report().Fault(absl::StrCat("log-ins failed, the first: ", loop.first_failure.ToString()));
  if (loop.logins == 0) run.report().Fault("nobody could log in");
  loop.Stop();
  run.Until([&] { return loop.idle(); }, std::chrono::seconds(5));
}

}  // namespace rookery::load
