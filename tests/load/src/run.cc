#include "run.h"

#include <boost/asio/post.hpp>
#include <cstdio>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "rookery/base/status.h"

namespace rookery::load {
namespace {

std::string JsonText(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace

void Report::Number(const std::string& name, double value, const std::string& unit) {
  lines_.push_back({name, absl::StrFormat("%.*f", value < 10 ? 3 : value < 1000 ? 1 : 0, value), unit});
}

void Report::Count(const std::string& name, std::uint64_t value) {
  lines_.push_back({name, absl::StrCat(value), ""});
}

void Report::Percentiles(const std::string& name, Latencies& latencies) {
  for (const auto& [label, part] :
       {std::pair("p50", 0.5), {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1.0}}) {
    Number(absl::StrCat(name, " ", label), latencies.PercentileMs(part), "ms");
  }
}

void Report::Fault(const std::string& what) { faults_.push_back(what); }

void Report::FaultCount(const std::string& what, std::uint64_t count) {
  Count(what, count);
  if (count > 0) Fault(absl::StrCat(count, " ", what));
}

void Report::Print(bool json) const {
  if (json) {
    std::string out = "{";
    for (const Line& line : lines_) absl::StrAppend(&out, JsonText(line.name), ": ", line.text, ", ");
    absl::StrAppend(&out, "\"faults\": [");
    for (std::size_t i = 0; i < faults_.size(); ++i)
      absl::StrAppend(&out, i > 0 ? ", " : "", JsonText(faults_[i]));
    std::printf("%s]}\n", out.c_str());
  } else {
    for (const Line& line : lines_)
      std::printf("  %-44s %12s %s\n", line.name.c_str(), line.text.c_str(), line.unit.c_str());
    for (const std::string& fault : faults_) std::printf("FAULT: %s\n", fault.c_str());
  }
  std::fflush(stdout);
}

absl::Status Run::Prepare(std::size_t accounts, bool has_clients) {
  end_ = Clock::now() + std::chrono::seconds(options_.timeout);
  if (options_.addresses.empty() || (options_.processes.empty() && options_.status_command != "none")) {
    absl::StatusOr<Cluster> cluster = ReadStatus(options_.status_command);
    if (!cluster.ok() && options_.addresses.empty()) return cluster.status();
    if (cluster.ok()) cluster_ = std::move(*cluster);
  }
  for (const std::string& process : options_.processes) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(process, absl::MaxSplits('=', 1));
    pid_t pid = 0;
    if (!absl::SimpleAtoi(parts.second, &pid))
      return absl::InvalidArgumentError(absl::StrCat(process, ": not name=pid"));
    cluster_.processes.push_back({parts.first, pid});
  }
  if (!options_.domain.empty()) cluster_.domain = options_.domain;
  if (cluster_.domain.empty()) cluster_.domain = "localhost";
  if (!has_clients) return absl::OkStatus();
  addresses_ = options_.addresses;
  if (addresses_.empty()) {
    for (const Gateway& gateway : cluster_.gateways) {
      const std::string& address = options_.tls ? gateway.xmpp_tls : gateway.xmpp;
      if (!address.empty()) addresses_.push_back(address);
    }
  }
  if (addresses_.empty()) return absl::FailedPreconditionError("no gateway has such a listener");
  network_ = std::make_unique<Network>(Network{io_, cluster_.domain, nullptr});
  if (options_.tls) {
    // The local cluster's certificate is its own; what is measured is the cost.
    ROOKERY_ASSIGN_OR_RETURN(network_->tls, net::TlsClientContext::Create(
                                                {.ca_file = "", .verify = false, .alpn = {"xmpp-client"}}));
  }
  if (accounts == 0) accounts = SeededIn(options_.keys_file);
  if (accounts == 0)
    return absl::FailedPreconditionError("no account is known yet: run `rookery-load seed N` first");
  accounts_ = std::make_unique<Accounts>(options_.keys_file, accounts);
  return absl::OkStatus();
}

bool Run::Until(const std::function<bool()>& done, Clock::duration limit) {
  const Clock::time_point end = std::min(end_, Clock::now() + limit);
  while (!done()) {
    const auto left = end - Clock::now();
    if (left <= Clock::duration::zero()) return false;
    io_.restart();
    const auto slice = std::min<Clock::duration>(left, std::chrono::milliseconds(100));
    if (io_.run_one_for(slice) == 0 && io_.stopped())
      std::this_thread::sleep_for(std::min<Clock::duration>(slice, std::chrono::milliseconds(1)));
    // Not all that is ready: with many busy connections that has no end, and `done` would not be asked.
    for (int i = 0; i < 256 && io_.poll_one() > 0; ++i) {
    }
  }
  return true;
}

void Run::AtRate(Clock::time_point begin, double rate, std::uint64_t total, const std::function<bool()>& stop,
                 const std::function<void(std::uint64_t, Clock::time_point)>& send) {
  const auto due = [&](std::uint64_t k) {
    const std::chrono::duration<double> after(static_cast<double>(k) / rate);
    return begin + std::chrono::duration_cast<Clock::duration>(after);
  };
  asio::steady_timer timer(io_);
  std::uint64_t k = 0;
  while (!stop()) {
    const Clock::time_point now = Clock::now();
    for (; k < total && due(k) <= now; ++k) send(k, due(k));
    if (k == total) return;
    // The handler may outlive this call.
    const auto woke = std::make_shared<bool>(false);
    timer.expires_at(due(k));
    timer.async_wait([woke](const boost::system::error_code&) { *woke = true; });
    if (!Until([&] { return *woke || stop(); }, due(k) - now + std::chrono::seconds(5))) return;
  }
}

void Run::Say(const std::string& line) const {
  if (!options_.quiet) std::fprintf(stderr, "%s\n", line.c_str());
}

bool Run::InParallel(std::size_t count,
                     const std::function<void(std::size_t, std::function<void()>)>& start) {
  struct State {
    std::size_t next = 0;
    std::size_t open = 0;
    bool dead = false;
  };
  const auto state = std::make_shared<State>();
  const auto fill = [&, state] {
    while (state->open < options_.parallel && state->next < count) {
      ++state->open;
      start(state->next++, [state] { --state->open; });
    }
  };
  const bool done = Until(
      [&] {
        fill();
        return state->next == count && state->open == 0;
      },
      std::chrono::seconds(options_.timeout));
  return done;
}

bool Run::SignIn(std::vector<std::unique_ptr<Client>>& clients, std::size_t count, Client::Options options) {
  clients.clear();
  std::size_t failed = 0;
  absl::Status first_failure;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<Client>(*network_, (*accounts_)[i % accounts_->size()], options));
  }
  const bool done = InParallel(count, [&](std::size_t i, std::function<void()> finish) {
    const auto finished = std::make_shared<bool>(false);
    const auto tries = std::make_shared<int>(0);
    Client& client = *clients[i];
    client.on_ready = [finished, finish] {
      if (!std::exchange(*finished, true)) finish();
    };
    client.on_end = [this, &client, i, finished, tries, finish, &failed,
                     &first_failure](const absl::Status& status) {
      if (*finished) return;
      if (++*tries < 3) {
        asio::post(io_, [this, &client, i] { client.Connect(AddressOf(i)); });
        return;
      }
      *finished = true;
      ++failed;
      if (first_failure.ok()) first_failure = status;
      finish();
    };
    client.Connect(AddressOf(i));
  });
  // The counters above are this call's.
  for (const auto& client : clients) client->on_ready = nullptr, client->on_end = nullptr;
  if (failed > 0)
    report_.Fault(absl::StrCat(failed, " of ", count, " could not sign in: ", first_failure.ToString()));
  if (!done) report_.Fault("signing in took too long");
  return done && failed == 0;
}

void Run::SignOut(std::vector<std::unique_ptr<Client>>& clients) {
  std::size_t open = 0;
  for (const auto& client : clients) {
    if (!client->ready()) continue;
    ++open;
    client->on_end = [&open](const absl::Status&) { --open; };
    client->Close();
  }
  Until([&] { return open == 0; }, std::chrono::seconds(10));
  clients.clear();
}

void Run::BeginCpu() {
  cpu_before_ = CpuSeconds(cluster_);
  cpu_since_ = Clock::now();
}

void Run::EndCpu(std::uint64_t units, const std::string& unit, const std::string& phase) {
  const std::string suffix = phase.empty() ? "" : absl::StrCat(", ", phase);
  const double wall = std::chrono::duration<double>(Clock::now() - cpu_since_).count();
  double ours = 0;
  double all = 0;
  for (const auto& [service, after] : CpuSeconds(cluster_)) {
    const double used = after - cpu_before_[service];
    report_.Number(absl::StrCat("CPU ", service, suffix), used, "s");
    all += used;
    if (IsOurs(service)) ours += used;
  }
  report_.Number("CPU together" + suffix, all, "s");
  report_.Number("wall clock of the above" + suffix, wall, "s");
  if (units > 0 && ours > 0) {
    report_.Number(absl::StrCat("CPU of our services per ", unit), ours * 1e6 / static_cast<double>(units),
                   "us");
  }
}

}  // namespace rookery::load
