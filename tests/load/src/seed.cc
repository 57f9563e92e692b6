#include "absl/strings/str_cat.h"
#include "scenarios.h"

namespace rookery::load {

void Seed(Run& run, std::size_t count) {
  const std::size_t known = run.accounts().seeded();
  std::vector<std::unique_ptr<Client>> clients(count);
  std::size_t failed = 0, done = 0;
  absl::Status first_failure;
  const Clock::time_point begin = Clock::now();
  const bool complete = run.InParallel(count, [&](std::size_t i, std::function<void()> finish) {
    Account& account = run.accounts()[i];
    if (account.keys.iterations != 0) return finish();
    clients[i] = std::make_unique<Client>(
        run.network(), account,
        Client::Options{.registers = true, .binds = false, .stream_management = false});
    const auto end = [&, i, finish](const absl::Status& status) {
      if (!status.ok()) {
        run.accounts()[i].keys = {};
        ++failed;
        if (first_failure.ok()) first_failure = status;
      } else if (++done % 500 == 0) {
        run.Say(absl::StrCat(done, " accounts"));
      }
      finish();
    };
    clients[i]->on_ready = [&clients, i] { clients[i]->Close(); };
    clients[i]->on_end = end;
    clients[i]->Connect(run.AddressOf(i));
  });
  clients.clear();
  if (const absl::Status saved = run.accounts().Save(); !saved.ok()) run.report().Fault(saved.ToString());
  if (!complete) run.report().Fault("seeding took too long");
  if (failed > 0) run.report().Fault(absl::StrCat(failed, " accounts failed: ", first_failure.ToString()));
  run.report().Count("accounts known before", known);
  run.report().Count("accounts seeded", done);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  run.report().Number("accounts per second", static_cast<double>(done) / seconds, "/s");
}

}  // namespace rookery::load
