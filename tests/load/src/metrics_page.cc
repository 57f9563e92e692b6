#include "metrics_page.h"

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <iterator>
#include <limits>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace rookery::load {

namespace asio = boost::asio;

MetricsPage::MetricsPage(const std::string& text) {
  const std::string kBound = "le=\"";
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(text, '\n'))) {
    const std::size_t name_end = line.find("_bucket{");
    const std::size_t bound_at = line.find(kBound);
    const std::size_t value_at = line.rfind(' ');
    double bound = 0, value = 0;
    if (line.starts_with('#') || value_at == line.npos ||
        !absl::SimpleAtod(line.substr(value_at + 1), &value))
      continue;
    sums_[line.substr(0, line.find_first_of("{ "))] += value;
    if (name_end == line.npos || bound_at == line.npos) continue;
    const std::string rest = line.substr(bound_at + kBound.size());
    if (!absl::SimpleAtod(rest.substr(0, rest.find('"')), &bound)) continue;
    buckets_[line.substr(0, name_end)][bound] += value;
  }
}

double MetricsPage::LargestSince(const MetricsPage& before, const std::string& histogram) const {
  const auto now = buckets_.find(histogram);
  if (now == buckets_.end()) return std::numeric_limits<double>::infinity();
  const auto then = before.buckets_.find(histogram);
  double largest = 0, up_to_last = 0;
  for (const auto& [bound, count] : now->second) {
    double old = 0;
    if (then != before.buckets_.end())
      if (const auto it = then->second.find(bound); it != then->second.end()) old = it->second;
    if (count - old > up_to_last) largest = bound;
    up_to_last = count - old;
  }
  return largest;
}

double MetricsPage::Sum(const std::string& counter) const {
  const auto it = sums_.find(counter);
  return it == sums_.end() ? 0 : it->second;
}

double AppendedRecords(const Cluster& cluster) {
  double sum = 0;
  for (const Cluster::Process& process : cluster.processes)
    if (process.service == "session-manager" && !process.admin.empty())
      sum += FetchMetrics(process.admin).Sum("rookery_session_manager_kafka_appended_records_total");
  return sum;
}

MetricsPage FetchMetrics(const std::string& address) {
  const std::pair<std::string, std::string> host_and_port = absl::StrSplit(address, ':');
  asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(5));
  stream.connect(host_and_port.first, host_and_port.second);
  stream << "GET /metrics HTTP/1.0\r\nHost: " << address << "\r\n\r\n" << std::flush;
  return MetricsPage(std::string(std::istreambuf_iterator<char>(stream), {}));
}

}  // namespace rookery::load
