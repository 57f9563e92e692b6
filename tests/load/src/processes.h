#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace rookery::load {

struct Gateway {
  std::string xmpp;  // empty: no such listener
  std::string xmpp_tls;
};

/// The output of `deploy/local/cluster status --json`.
struct Cluster {
  struct Process {
    std::string service;
    pid_t pid = 0;
    // host:port of its listeners; empty: it has none, or nobody said.
    std::string rpc = {};
    std::string admin = {};
  };
  std::string domain;
  std::string redis;  // host:port
  std::string state;  // the directory with its secrets
  bool service_tls = false;
  std::vector<Process> processes;
  std::vector<Gateway> gateways;
};

absl::StatusOr<Cluster> ParseStatus(const std::string& json);
/// Runs the command and parses what it prints.
absl::StatusOr<Cluster> ReadStatus(const std::string& command);

/// Whether a process is one of ours and not a backend or the benchmark.
bool IsOurs(std::string_view service);

/// utime + stime of one line of /proc/<pid>/stat, in clock ticks; with `children`
/// those that were waited for as well. -1: malformed.
std::int64_t TicksOf(std::string_view stat, bool children);

/// CPU seconds so far by service, the benchmark included as "rookery-load". A service
/// with child processes (PostgreSQL) counts them all.
std::map<std::string, double> CpuSeconds(const Cluster& cluster);
/// Memory by service in KB, without the code and files that are mapped.
std::map<std::string, std::int64_t> AnonymousMemoryKb(const Cluster& cluster);

}  // namespace rookery::load
