#include "value.h"

#include <gtest/gtest.h>

#include <chrono>

namespace rookery::config {
namespace {

using std::chrono::milliseconds;

TEST(Duration, IsANumberWithAUnit) {
  EXPECT_EQ(ParseDuration("250ms"), milliseconds(250));
  EXPECT_EQ(ParseDuration("5s"), milliseconds(5'000));
  EXPECT_EQ(ParseDuration("10m"), milliseconds(600'000));
  EXPECT_EQ(ParseDuration("1h"), milliseconds(3'600'000));
  EXPECT_EQ(ParseDuration("0s"), milliseconds(0));
  for (const char* wrong : {"", "5", "s", "-5s", "1.5s", "5 s", "5d", "5sec", "99999999999999999999h",
                            "9223372036854775807h", " 5s"}) {
    EXPECT_FALSE(ParseDuration(wrong).has_value()) << wrong;
  }
}

TEST(Duration, IsShownInTheLargestExactUnit) {
  EXPECT_EQ(FormatDuration(milliseconds(1'500)), "1500ms");
  EXPECT_EQ(FormatDuration(milliseconds(20'000)), "20s");
  EXPECT_EQ(FormatDuration(milliseconds(120'000)), "2m");
  EXPECT_EQ(FormatDuration(milliseconds(7'200'000)), "2h");
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0s");
}

TEST(Scalars, AreStrict) {
  EXPECT_EQ(ParseInt("-12"), -12);
  EXPECT_FALSE(ParseInt("12 "));
  EXPECT_FALSE(ParseInt("0x10"));
  EXPECT_FALSE(ParseInt("99999999999999999999"));
  EXPECT_EQ(ParseBool("true"), true);
  EXPECT_FALSE(ParseBool("yes"));
}

TEST(EnvironmentNames, FollowThePath) {
  EXPECT_EQ(EnvironmentPrefix("session-manager"), "ROOKERY_SESSION_MANAGER__");
  EXPECT_EQ(EnvironmentSuffix("rpc.tls.ca-file"), "RPC__TLS__CA_FILE");
}

}  // namespace
}  // namespace rookery::config
