#include "admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace rookery::app {
namespace {

using testing::HasSubstr;

class AdminTest : public testing::Test {
 protected:
  net::HttpResponse Ask(const std::string& method, const std::string& target,
                        const std::string& reason = "") {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    return AnswerAdmin(request, reason, metrics);
  }
  telemetry::Metrics metrics{"test"};
};

TEST_F(AdminTest, HealthIsOkEvenWhenNotReady) { EXPECT_EQ(Ask("GET", "/healthz", "draining").status, 200); }

TEST_F(AdminTest, ReadinessTellsWhyNot) {
  EXPECT_EQ(Ask("GET", "/readyz").status, 200);
  const net::HttpResponse response = Ask("GET", "/readyz?verbose", "Redis is not connected");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "Redis is not connected\n");
}

TEST_F(AdminTest, MetricsArePrometheusText) {
  metrics.Counter("things_total", "Things").Increment();
  const net::HttpResponse response = Ask("GET", "/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.content_type, HasSubstr("version=0.0.4"));
  EXPECT_THAT(response.body, HasSubstr("rookery_test_things_total 1"));
}

TEST_F(AdminTest, RefusesTheRest) {
  EXPECT_EQ(Ask("GET", "/").status, 404);
  EXPECT_EQ(Ask("GET", "/metricsx").status, 404);
  EXPECT_EQ(Ask("POST", "/metrics").status, 405);
}

TEST_F(AdminTest, HeadIsAnsweredAsGetIs) {
  for (const char* target : {"/healthz", "/readyz", "/metrics"}) EXPECT_EQ(Ask("HEAD", target).status, 200);
  EXPECT_EQ(Ask("HEAD", "/readyz", "draining").status, 503);
  EXPECT_EQ(Ask("HEAD", "/").status, 404);
}

}  // namespace
}  // namespace rookery::app
