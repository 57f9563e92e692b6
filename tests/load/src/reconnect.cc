#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "scenarios.h"

namespace rookery::load {

void MeasureReconnect(Run& run, const ReconnectOptions& options) {
  Report& report = run.report();
  std::vector<std::unique_ptr<Client>> clients;
  Client::Options client_options;
  client_options.stream_management = true;
  if (!run.SignIn(clients, options.sessions, client_options)) return;
  for (const auto& client : clients) {
    if (!client->resumable()) return report.Fault("the server does not offer resumption");
    client->Send("<presence/>");
  }
  run.For(std::chrono::seconds(2));
  run.Say(absl::StrCat("cutting ", options.sessions, " connections"));
  for (const auto& client : clients) client->Cut();
  run.For(std::chrono::seconds(1));

  std::uint64_t resumed = 0, refused = 0;
  absl::Status first_refusal;
  Latencies latencies;
  run.BeginCpu();
  const Clock::time_point begin = Clock::now();
  const bool done = run.InParallel(clients.size(), [&](std::size_t i, std::function<void()> finish) {
    Client& client = *clients[i];
    const auto over = std::make_shared<bool>(false);
    const Clock::time_point start = Clock::now();
    // Ready means here that the server said <resumed/>.
    client.on_ready = [&, start, over, finish] {
      *over = true;
      ++resumed;
      latencies.Add(Clock::now() - start);
      finish();
    };
    client.on_end = [&, over, finish](const absl::Status& status) {
      if (std::exchange(*over, true)) return;
      ++refused;
      if (first_refusal.ok()) first_refusal = status;
      finish();
    };
    client.Connect(run.AddressOf(i + 1), true);
  });
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  report.Number("resumptions per second", static_cast<double>(resumed) / seconds, "/s");
  report.Count("resumed", resumed);
  report.Count("refused", refused);
  report.Percentiles("resumption time", latencies);
  run.EndCpu(resumed, "resumption");
  if (refused > 0)
    report.Fault(absl::StrCat(refused, " were not resumed, the first: ", first_refusal.ToString()));
  if (!done) report.Fault("not all came back in time");
  for (const auto& client : clients) client->on_ready = nullptr, client->on_end = nullptr;
  run.SignOut(clients);
}

}  // namespace rookery::load
