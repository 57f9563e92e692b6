#include "absl/strings/str_cat.h"
#include "scenarios.h"

namespace rookery::load {

namespace {

struct Seeded {
  bool complete = false;
  std::size_t done = 0, failed = 0;
  absl::Status first_failure;
};

Seeded SeedMissing(Run& run, std::size_t count) {
  Seeded seeded;
  std::vector<std::unique_ptr<Client>> clients(count);
  seeded.complete = run.InParallel(count, [&](std::size_t i, std::function<void()> finish) {
    Account& account = run.accounts()[i];
    if (account.keys.iterations != 0) return finish();
    clients[i] = std::make_unique<Client>(
        run.network(), account,
        Client::Options{.registers = true, .binds = false, .stream_management = false});
    clients[i]->on_ready = [&clients, i] { clients[i]->Close(); };
    clients[i]->on_end = [&, i, finish](const absl::Status& status) {
      if (!status.ok()) {
        run.accounts()[i].keys = {};
        ++seeded.failed;
        if (seeded.first_failure.ok()) seeded.first_failure = status;
      } else if (++seeded.done % 500 == 0) {
        run.Say(absl::StrCat(seeded.done, " accounts"));
      }
      finish();
    };
    clients[i]->Connect(run.AddressOf(i));
  });
  return seeded;
}

}  // namespace

void Seed(Run& run, std::size_t count) {
  const std::size_t known = run.accounts().seeded();
  const Clock::time_point begin = Clock::now();
  Seeded last;
  std::size_t done = 0;
  // A cluster that has just started still shares out its shards, and says "wait" meanwhile.
  for (int tries = 0; tries < 3 && (tries == 0 || (last.complete && last.failed > 0)); ++tries) {
    last = SeedMissing(run, count);
    done += last.done;
  }
  if (const absl::Status saved = run.accounts().Save(); !saved.ok()) run.report().Fault(saved.ToString());
  if (!last.complete) run.report().Fault("seeding took too long");
  if (last.failed > 0)
    run.report().Fault(absl::StrCat(last.failed, " accounts failed: ", last.first_failure.ToString()));
  run.report().Count("accounts known before", known);
  run.report().Count("accounts seeded", done);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  run.report().Number("accounts per second", static_cast<double>(done) / seconds, "/s");
}

}  // namespace rookery::load
