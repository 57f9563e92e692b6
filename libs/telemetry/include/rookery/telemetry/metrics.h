#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"

namespace rookery::telemetry {

using Labels = std::map<std::string, std::string>;

/// The process's metrics, named `rookery_<service>_<noun>_<unit|total>`. References
/// that it hands out live as long as it does. Registering is for start-up; counting
/// is thread-safe. Labels never hold an address.
class Metrics {
 public:
  /// `service` with underscores: "session_manager".
  explicit Metrics(std::string_view service);
  ~Metrics();

  prometheus::Counter& Counter(std::string_view noun, std::string_view help, const Labels& labels = {});
  prometheus::Gauge& Gauge(std::string_view noun, std::string_view help, const Labels& labels = {});
  prometheus::Histogram& Histogram(std::string_view noun, std::string_view help, std::vector<double> buckets,
                                   const Labels& labels = {});
  /// Runs before each scrape, on the scraping thread (the process's I/O thread).
  void OnScrape(std::function<void()> update);

  /// Prometheus text format.
  std::string Text();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rookery::telemetry
