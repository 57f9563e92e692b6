#include "protocols/xmpp/peer_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

using std::chrono::seconds;

TEST(LogBudget, OneNetworkHasSoManyLinesAMinute) {
  LogBudget budget;
  const SteadyTime start{};
  int lines = 0;
  for (int i = 0; i < 1000; ++i) lines += budget.Allow("192.0.2.1", start) ? 1 : 0;
  EXPECT_EQ(lines, 20);
  EXPECT_TRUE(budget.Allow("192.0.2.2", start));
  EXPECT_TRUE(budget.Allow("192.0.2.1", start + seconds(4)));
}

TEST(LogBudget, AllTogetherHaveABoundOnlySlightlyFilled) {
  LogBudget budget;
  const SteadyTime start{};
  int lines = 0;
  for (int i = 0; i < 100'000; ++i) lines += budget.Allow(std::to_string(i), start) ? 1 : 0;
  EXPECT_EQ(lines, 500);
  // A day of it: what fits into 20 lines a second.
  for (int second = 1; second <= 1000; ++second) {
    for (int i = 0; i < 200; ++i) {
      lines += budget.Allow(std::to_string(second * 1000 + i), start + seconds(second)) ? 1 : 0;
    }
  }
  EXPECT_LE(lines, 500 + 1000 * 20);
  EXPECT_GE(lines, 1000 * 20);
}

/// Time stands still: no line is allowed again because the machine is slow.
class FrozenClock final : public VirtualClock {
 public:
  SteadyTime Now() const override { return SteadyTime(seconds(1000)); }
  std::int64_t UnixMillisNow() const override { return 1'000'000; }
  void WouldSleepUntil(SteadyTime) override {}
};

class PeerLogTest : public testing::Test {
 protected:
  PeerLogTest() { SetVirtualClockForTest(&clock_); }
  ~PeerLogTest() override { SetVirtualClockForTest(nullptr); }
  void Capture() {
    telemetry::FlushLog();  // of the tests before this one
    testing::internal::CaptureStdout();
  }
  std::string Logged() {
    telemetry::FlushLog();
    return testing::internal::GetCapturedStdout();
  }
  FrozenClock clock_;
  telemetry::Metrics metrics_{"peer_log_test"};
  PeerLog log_{metrics_};
  const Peer peer_{"2001:db8::1", "2001:db8::/64"};
};

TEST_F(PeerLogTest, AFailedSignInIsOneLineThatAToolCanMatch) {
  Capture();
  log_.AuthFailed(peer_, "PLAIN", SaslFailure::kNotAuthorized, "romeo@example.com");
  const std::string line = Logged();
  EXPECT_NE(
      line.find("\"event\":\"auth.failed\",\"mechanism\":\"PLAIN\",\"reason\":\"not-authorized\",\"jid\":\"" +
                telemetry::HashedJid("romeo@example.com") + "\",\"peer\":\"2001:db8::1\""),
      std::string::npos)
      << line;
  EXPECT_EQ(line.find("romeo"), std::string::npos) << line;
}

TEST_F(PeerLogTest, TheClientsOwnTextIsNotLogged) {
  Capture();
  log_.AuthFailed(peer_, "X\",\"peer\":\"192.0.2.9", SaslFailure::kInvalidMechanism, "");
  EXPECT_EQ(Logged().find("192.0.2.9"), std::string::npos);
}

TEST_F(PeerLogTest, WhatIsTooMuchIsCountedAndToldLater) {
  Capture();
  for (int i = 0; i < 100; ++i) log_.AuthFailed(peer_, "PLAIN", SaslFailure::kNotAuthorized, "");
  log_.AuthFailed({"192.0.2.1", "192.0.2.1"}, "PLAIN", SaslFailure::kNotAuthorized, "");
  const std::string lines = Logged();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 22) << lines;
  EXPECT_NE(lines.find("\"event\":\"log.suppressed\",\"of\":\"auth.failed\",\"lines\":80"), std::string::npos)
      << lines;
  EXPECT_NE(metrics_.Text().find("log_lines_suppressed_total{event=\"auth.failed\"} 80"), std::string::npos);
}

TEST_F(PeerLogTest, ResumptionsThatFailHideNoFailedSignIn) {
  Capture();
  for (int i = 0; i < 100; ++i) log_.NotResumed(peer_, "item-not-found", false, "romeo@example.com");
  log_.AuthFailed(peer_, "PLAIN", SaslFailure::kNotAuthorized, "");
  const std::string lines = Logged();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 21) << lines;
  EXPECT_NE(lines.find("\"event\":\"auth.failed\""), std::string::npos) << lines;
  EXPECT_NE(metrics_.Text().find("log_lines_suppressed_total{event=\"session.not_resumed\"} 80"),
            std::string::npos);
}

TEST_F(PeerLogTest, AHealthCheckOnATlsPortIsCountedAndNotLogged) {
  Capture();
  log_.TlsFailed(peer_, net::TlsFailure::kPeerClosed, "the peer closed");
  log_.TlsFailed(peer_, net::TlsFailure::kNotTls, "http request");
  const std::string lines = Logged();
  EXPECT_EQ(lines.find("peer-closed"), std::string::npos) << lines;
  EXPECT_NE(
      lines.find("\"event\":\"tls.handshake_failed\",\"reason\":\"not-tls\",\"detail\":\"http request\","
                 "\"peer\":\"2001:db8::1\""),
      std::string::npos)
      << lines;
  EXPECT_NE(metrics_.Text().find("tls_handshakes_failed_total{reason=\"peer-closed\"} 1"), std::string::npos);
}

TEST_F(PeerLogTest, AStreamErrorIsLoggedWithItsConditionOurShutdownIsNot) {
  Capture();
  log_.StreamFailed(peer_, StreamError::kPolicyViolation, "");
  log_.StreamFailed(peer_, StreamError::kSystemShutdown, "");
  const std::string lines = Logged();
  EXPECT_NE(lines.find("\"event\":\"stream.error\",\"condition\":\"policy-violation\""), std::string::npos)
      << lines;
  EXPECT_EQ(lines.find("shutdown"), std::string::npos) << lines;
}

}  // namespace
}  // namespace rookery::gateway
