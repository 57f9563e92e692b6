#pragma once

#include <map>
#include <string>

#include "processes.h"

namespace rookery::load {

/// The metrics that one or more processes told at one moment on /metrics.
class MetricsPage {
 public:
  explicit MetricsPage(const std::string& text = {});

  /// The upper bound of the highest bucket of a histogram that has had an observation since `before`;
  /// 0: none has, infinity: beyond the last bound.
  double LargestSince(const MetricsPage& before, const std::string& histogram) const;
  /// A counter, or the sum of those with labels.
  double Sum(const std::string& counter) const;

 private:
  /// By name and upper bound: how many observations up to it.
  std::map<std::string, std::map<double, double>> buckets_;
  std::map<std::string, double> sums_;
};

/// Records that the session-managers of the cluster have put into the log. Blocks like FetchMetrics.
double AppendedRecords(const Cluster& cluster);

/// Blocks for at most 5 s. `address`: host:port of the admin listener. Empty where it does not answer.
MetricsPage FetchMetrics(const std::string& address);

}  // namespace rookery::load
