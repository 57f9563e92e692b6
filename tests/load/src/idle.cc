#include "absl/strings/str_cat.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

std::int64_t Sum(const std::map<std::string, std::int64_t>& kb) {
  std::int64_t sum = 0;
  for (const auto& [service, value] : kb) sum += value;
  return sum;
}

/// Memory once it has stopped moving: sessions finish their set-up after the answer.
std::map<std::string, std::int64_t> SettledKb(Run& run) {
  std::map<std::string, std::int64_t> kb = AnonymousMemoryKb(run.cluster());
  for (int i = 0; i < 15; ++i) {
    run.For(std::chrono::seconds(1));
    std::map<std::string, std::int64_t> now = AnonymousMemoryKb(run.cluster());
    const std::int64_t moved = Sum(now) - Sum(kb);
    kb = std::move(now);
    if (i >= 2 && moved < 200 && moved > -200) break;
  }
  return kb;
}

}  // namespace

void MeasureIdle(Run& run, const IdleOptions& options) {
  std::vector<std::unique_ptr<Client>> clients;
  // Memory that the processes allocate once is not a session's.
  if (!run.SignIn(clients, std::min<std::size_t>(500, options.sessions), {})) return;
  if (options.presence) {
    for (const auto& client : clients) client->Send("<presence/>");
  }
  run.For(std::chrono::seconds(1));
  run.SignOut(clients);
  const std::map<std::string, std::int64_t> before = SettledKb(run);
  run.Say(absl::StrCat("signing in ", options.sessions));
  if (!run.SignIn(clients, options.sessions, {})) return;
  if (options.presence) {
    for (const auto& client : clients) client->Send("<presence/>");
  }
  std::map<std::string, std::int64_t> after = SettledKb(run);
  const double sessions = static_cast<double>(options.sessions);
  double both = 0;
  for (const auto& [service, kb] : after) {
    const auto old = before.find(service);
    const double each = static_cast<double>(kb - (old != before.end() ? old->second : 0)) / sessions;
    if (!IsOurs(service)) continue;
    run.report().Number(absl::StrCat("memory per session, ", service), each, "KB");
    if (service == "gateway" || service == "session-manager") both += each;
  }
  run.report().Number("gateway and session-manager together", both, "KB");
  run.report().Count("sessions", options.sessions);
  std::size_t lost = 0;
  for (const auto& client : clients) lost += client->ready() ? 0 : 1;
  if (lost > 0) run.report().Fault(absl::StrCat(lost, " sessions were dropped"));
  run.BeginCpu();
  run.For(std::chrono::seconds(5));
  run.EndCpu(0, "");
  run.SignOut(clients);
}

}  // namespace rookery::load
