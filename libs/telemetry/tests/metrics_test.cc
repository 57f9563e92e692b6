#include "rookery/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "process_metrics.h"

namespace rookery::telemetry {
namespace {

using testing::HasSubstr;

TEST(Metrics, NamesCarryTheService) {
  Metrics metrics("session_manager");
  metrics.Counter("stanzas_total", "Stanzas", {{"kind", "message"}}).Increment(3);
  metrics.Gauge("sessions", "Sessions").Set(2);
  metrics.Histogram("append_seconds", "Time", {0.1, 1}).Observe(0.5);
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("rookery_session_manager_stanzas_total{kind=\"message\"} 3"));
  EXPECT_THAT(text, HasSubstr("rookery_session_manager_sessions 2"));
  EXPECT_THAT(text, HasSubstr("rookery_session_manager_append_seconds_bucket{le=\"1\"} 1"));
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
  Metrics metrics("test");
  auto& first = metrics.Counter("things_total", "Things", {{"a", "1"}});
  auto& again = metrics.Counter("things_total", "Things", {{"a", "1"}});
  auto& other = metrics.Counter("things_total", "Things", {{"a", "2"}});
  EXPECT_EQ(&first, &again);
  EXPECT_NE(&first, &other);
}

TEST(Metrics, UpdatesRunBeforeEachScrape) {
  Metrics metrics("test");
  auto& gauge = metrics.Gauge("scrapes", "Scrapes");
  metrics.OnScrape([&gauge] { gauge.Increment(); });
  EXPECT_THAT(metrics.Text(), HasSubstr("rookery_test_scrapes 1"));
  EXPECT_THAT(metrics.Text(), HasSubstr("rookery_test_scrapes 2"));
}

TEST(Metrics, TellAboutTheProcess) {
  Metrics metrics("test");
  const std::string text = metrics.Text();
  for (const char* name : {"process_cpu_seconds_total ", "process_resident_memory_bytes ",
                           "process_open_fds ", "process_max_fds ", "process_start_time_seconds "}) {
    EXPECT_THAT(text, HasSubstr(name));
  }
}

TEST(ProcessStart, LiesBetweenTheTestsStartAndNow) {
  // This process has started before its tests run, by no more than they may take.
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(ProcessStartSeconds(), now + 1);
  EXPECT_GT(ProcessStartSeconds(), now - 3600);
  EXPECT_EQ(ProcessStartSeconds(), ProcessStartSeconds());
}

TEST(ProcessUsage, IsPlausible) {
  const ProcessUsage usage = ReadProcessUsage();
  EXPECT_GE(usage.cpu_seconds, 0);
  EXPECT_GT(usage.resident_bytes, 1'000'000);
  EXPECT_GE(usage.open_descriptors, 3);
  EXPECT_LT(usage.open_descriptors, 1000);
  EXPECT_GT(usage.max_descriptors, 0);
}

}  // namespace
}  // namespace rookery::telemetry
