#include "processes.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace rookery::load {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The words of a stat line after the command's name, which may hold blanks and
/// parentheses: state is the first.
std::vector<std::string> StatFields(std::string_view stat) {
  const std::size_t end = stat.rfind(')');
  if (end == std::string_view::npos) return {};
  std::istringstream in{std::string(stat.substr(end + 1))};
  return {std::istream_iterator<std::string>(in), std::istream_iterator<std::string>()};
}

std::int64_t AnonymousMemoryOf(pid_t pid) {
  std::istringstream in(ReadFile(absl::StrCat("/proc/", pid, "/status")));
  std::string line;
  while (std::getline(in, line)) {
    std::int64_t kb = 0;
    if (line.starts_with("RssAnon:") && std::sscanf(line.c_str() + 8, "%ld", &kb) == 1) return kb;
  }
  return 0;
}

}  // namespace

absl::StatusOr<Cluster> ParseStatus(const std::string& json) {
  Cluster cluster;
  try {
    // JSON is YAML.
    const YAML::Node root = YAML::Load(json);
    cluster.domain = root["domain"].as<std::string>("localhost");
    cluster.state = root["state"].as<std::string>("");
    cluster.service_tls = root["service_tls"].as<bool>(false);
    for (const YAML::Node& node : root["processes"]) {
      const std::string service = node["service"].as<std::string>();
      const YAML::Node pid = node["pid"];
      if (!pid || pid.IsNull()) continue;
      const YAML::Node listeners = node["listeners"];
      cluster.processes.push_back({service, pid.as<pid_t>(), listeners["rpc"].as<std::string>(""),
                                   listeners["admin"].as<std::string>("")});
      if (service == "redis") cluster.redis = listeners["redis"].as<std::string>("");
      if (service != "gateway") continue;
      cluster.gateways.push_back(
          {listeners["xmpp"].as<std::string>(""), listeners["xmpp-tls"].as<std::string>("")});
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("cluster status: ", error.what()));
  }
  if (cluster.processes.empty())
    return absl::UnavailableError("the cluster is not up (deploy/local/cluster up)");
  return cluster;
}

absl::StatusOr<Cluster> ReadStatus(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return absl::UnavailableError(absl::StrCat("cannot run ", command));
  std::string out;
  char buffer[4096];
  std::size_t n = 0;
  while ((n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0) out.append(buffer, n);
  ::pclose(pipe);
  return ParseStatus(out);
}

bool IsOurs(std::string_view service) {
  static const std::set<std::string, std::less<>> kOurs = {"gateway", "session-manager", "roster", "muc",
                                                           "search"};
  return kOurs.contains(service);
}

std::int64_t TicksOf(std::string_view stat, bool children) {
  const std::vector<std::string> fields = StatFields(stat);
  // proc(5): utime, stime, cutime and cstime are fields 14 to 17; state is field 3.
  if (fields.size() < 15) return -1;
  std::int64_t sum = 0;
  for (std::size_t i = 11; i < (children ? 15u : 13u); ++i) {
    std::int64_t ticks = 0;
    if (!absl::SimpleAtoi(fields[i], &ticks)) return -1;
    sum += ticks;
  }
  return sum;
}

std::map<std::string, double> CpuSeconds(const Cluster& cluster) {
  std::map<pid_t, std::string> parents;
  std::map<std::string, double> seconds;
  const double tick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  for (const Cluster::Process& process : cluster.processes) {
    parents[process.pid] = process.service;
    const std::int64_t ticks = TicksOf(ReadFile(absl::StrCat("/proc/", process.pid, "/stat")), true);
    if (ticks >= 0) seconds[process.service] += static_cast<double>(ticks) * tick;
  }
  seconds["rookery-load"] = static_cast<double>(TicksOf(ReadFile("/proc/self/stat"), false)) * tick;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid) || parents.contains(pid)) continue;
    const std::string stat = ReadFile(entry.path().string() + "/stat");
    const std::vector<std::string> fields = StatFields(stat);
    pid_t parent = 0;
    if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &parent)) continue;
    const auto service = parents.find(parent);
    if (service != parents.end()) seconds[service->second] += static_cast<double>(TicksOf(stat, true)) * tick;
  }
  return seconds;
}

std::map<std::string, std::int64_t> AnonymousMemoryKb(const Cluster& cluster) {
  std::map<std::string, std::int64_t> kb;
  for (const Cluster::Process& process : cluster.processes)
    kb[process.service] += AnonymousMemoryOf(process.pid);
  return kb;
}

}  // namespace rookery::load
