#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "accounts.h"
#include "client.h"
#include "latencies.h"
#include "processes.h"

namespace rookery::load {

/// Options of every sub-command.
struct CommonOptions {
  std::vector<std::string> addresses;  // gateways; empty: from the status
  std::string domain;                  // empty: from the status
  std::vector<std::string> processes;  // name=pid, in place of the status
  std::string status_command = "deploy/local/cluster status --json";
  std::string keys_file = ".local/load/keys";
  bool tls = false;
  bool json = false;
  bool quiet = false;
  int duration = 20;  // seconds that are measured
  int warm_up = 2;    // seconds before them
  int timeout = 300;  // seconds for the whole command
  std::size_t parallel = 64;
};

using Clock = std::chrono::steady_clock;

/// The results of a run, in the order in which they are shown.
class Report {
 public:
  void Number(const std::string& name, double value, const std::string& unit = "");
  void Count(const std::string& name, std::uint64_t value);
  void Percentiles(const std::string& name, Latencies& latencies);
  /// A fault of the server: the command's exit status is 1.
  void Fault(const std::string& what);
  /// A count that should be 0: a fault if it is not.
  void FaultCount(const std::string& what, std::uint64_t count);
  bool ok() const { return faults_.empty(); }
  const std::vector<std::string>& faults() const { return faults_; }
  void Print(bool json) const;

 private:
  struct Line {
    std::string name;
    std::string text;
    std::string unit;
  };
  std::vector<Line> lines_;
  std::vector<std::string> faults_;
};

/// One run: the loop, the cluster's processes and addresses, accounts, and a time limit.
class Run {
 public:
  explicit Run(const CommonOptions& options) : options_(options) {}
  /// Reads the status and, for clients, the keys of `accounts` accounts (0: all that are seeded).
  absl::Status Prepare(std::size_t accounts, bool has_clients = true);

  const CommonOptions& options() const { return options_; }
  asio::io_context& io() { return io_; }
  Network& network() { return *network_; }
  Accounts& accounts() { return *accounts_; }
  const Cluster& cluster() const { return cluster_; }
  const std::vector<std::string>& addresses() const { return addresses_; }
  const std::string& AddressOf(std::size_t client) const { return addresses_[client % addresses_.size()]; }
  Report& report() { return report_; }

  /// Runs the loop until `done` or until `limit` has passed; also ended by the
  /// command's own time limit. False: not done.
  bool Until(const std::function<bool()>& done, Clock::duration limit);
  void For(Clock::duration time) {
    Until([] { return false; }, time);
  }
  /// Calls `send(k, due)` for 0 ≤ k < total as soon as `due` = begin + k / rate is reached, whatever became
  /// of those before: a server that stops is charged for everything that it made late. Ends early when
  /// `stop` says so or the command's time is over.
  void AtRate(Clock::time_point begin, double rate, std::uint64_t total, const std::function<bool()>& stop,
              const std::function<void(std::uint64_t, Clock::time_point)>& send);
  void Say(const std::string& line) const;

  /// Creates `count` clients on accounts 0, 1, … and signs them in, `parallel` at a
  /// time, each on the next address. A failure is retried twice. False: not all are in.
  bool SignIn(std::vector<std::unique_ptr<Client>>& clients, std::size_t count, Client::Options options);
  /// Calls `start(i)` for 0 ≤ i < count with at most `parallel` open; `start` reports
  /// the end of i by calling its second argument once. False: timed out.
  bool InParallel(std::size_t count, const std::function<void(std::size_t, std::function<void()>)>& start);
  /// Closes all and waits for a moment.
  void SignOut(std::vector<std::unique_ptr<Client>>& clients);

  /// CPU seconds of each service between the two calls, and of our own services for
  /// each of `units` ("message"). `phase` tells the figures of a command with several apart.
  void BeginCpu();
  void EndCpu(std::uint64_t units, const std::string& unit, const std::string& phase = "");

 private:
  const CommonOptions& options_;
  asio::io_context io_{1};
  Clock::time_point end_ = Clock::time_point::max();
  Cluster cluster_;
  std::vector<std::string> addresses_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Accounts> accounts_;
  Report report_;
  std::map<std::string, double> cpu_before_;
  Clock::time_point cpu_since_;
};

}  // namespace rookery::load
