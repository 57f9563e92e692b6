#include "rookery/telemetry/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <utility>

#include "process_metrics.h"

namespace rookery::telemetry {

struct Metrics::Impl {
  explicit Impl(std::string_view service) : prefix("rookery_" + std::string(service) + "_") {}

  std::string Name(std::string_view noun) const { return prefix + std::string(noun); }

  std::string prefix;
  prometheus::Registry registry;
  std::vector<std::function<void()>> updates;
};

Metrics::Metrics(std::string_view service) : impl_(std::make_unique<Impl>(service)) {
  // The names that every Prometheus client library gives to these.
  auto& cpu = prometheus::BuildCounter()
                  .Name("process_cpu_seconds_total")
                  .Help("User and system CPU time spent in seconds.")
                  .Register(impl_->registry)
                  .Add({});
  const auto gauge = [this](const char* name, const char* help) -> prometheus::Gauge& {
    return prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add({});
  };
  auto& resident = gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  auto& descriptors = gauge("process_open_fds", "Open file descriptors.");
  auto& max_descriptors = gauge("process_max_fds", "The most file descriptors that may be open.");
  gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.")
      .Set(ProcessStartSeconds());
  OnScrape([&cpu, &resident, &descriptors, &max_descriptors] {
    const ProcessUsage usage = ReadProcessUsage();
    cpu.Increment(std::max(0.0, usage.cpu_seconds - cpu.Value()));
    resident.Set(static_cast<double>(usage.resident_bytes));
    descriptors.Set(static_cast<double>(usage.open_descriptors));
    max_descriptors.Set(static_cast<double>(usage.max_descriptors));
  });
}

Metrics::~Metrics() = default;

// Asked for again, a name and its labels give the same metric: the registry merges.
prometheus::Counter& Metrics::Counter(std::string_view noun, std::string_view help, const Labels& labels) {
  return prometheus::BuildCounter()
      .Name(impl_->Name(noun))
      .Help(std::string(help))
      .Register(impl_->registry)
      .Add(labels);
}

prometheus::Gauge& Metrics::Gauge(std::string_view noun, std::string_view help, const Labels& labels) {
  return prometheus::BuildGauge()
      .Name(impl_->Name(noun))
      .Help(std::string(help))
      .Register(impl_->registry)
      .Add(labels);
}

prometheus::Histogram& Metrics::Histogram(std::string_view noun, std::string_view help,
                                          std::vector<double> buckets, const Labels& labels) {
  return prometheus::BuildHistogram()
      .Name(impl_->Name(noun))
      .Help(std::string(help))
      .Register(impl_->registry)
      .Add(labels, std::move(buckets));
}

void Metrics::OnScrape(std::function<void()> update) { impl_->updates.push_back(std::move(update)); }

std::string Metrics::Text() {
  for (const auto& update : impl_->updates) update();
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace rookery::telemetry
