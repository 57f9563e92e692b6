#include "rookery/telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "log_line.h"

namespace rookery::telemetry {
namespace {

std::string Json(std::string_view text, std::size_t limit = 100) {
  std::string out;
  AppendJsonText(&out, text, limit);
  return out;
}

TEST(JsonText, EscapesWhatJsonMust) {
  EXPECT_EQ(Json("plain"), "\"plain\"");
  EXPECT_EQ(Json("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(Json("line\nfeed\r\t"), "\"line\\nfeed\\u000d\\u0009\"");
  EXPECT_EQ(Json(std::string_view("nul\0nul", 7)), "\"nul\\u0000nul\"");
  EXPECT_EQ(Json("\x7f"), "\"\\u007f\"");
}

TEST(JsonText, KeepsUtf8AndReplacesWhatIsNot) {
  EXPECT_EQ(Json("grüße 😀"), "\"grüße 😀\"");
  EXPECT_EQ(Json("\xff\xfe"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(Json("\xc3"), "\"\\ufffd\"");                        // cut short
  EXPECT_EQ(Json("\xc0\xaf"), "\"\\ufffd\\ufffd\"");             // overlong
  EXPECT_EQ(Json("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");  // surrogate
  EXPECT_EQ(Json("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

TEST(JsonText, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(Json("abcdef", 3), "\"abc\\u2026\"");
  EXPECT_EQ(Json("aüb", 2), "\"a\\u2026\"");
  EXPECT_EQ(Json("abc", 3), "\"abc\"");
}

TEST(LogLine, HasTheFieldsInOrder) {
  const std::string text = "x";
  EXPECT_EQ(FormatLine(1'700'000'000'123, Level::kWarn, "gateway", "gateway-1", "session.started",
                       {{"text", "a\"b"},
                        {"string", text},
                        {"negative", -5},
                        {"most", std::numeric_limits<std::int64_t>::max()},
                        {"yes", true}}),
            "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"service\":\"gateway\",\"instance\":"
            "\"gateway-1\","
            "\"event\":\"session.started\",\"text\":\"a\\\"b\",\"string\":\"x\",\"negative\":-5,"
            "\"most\":9223372036854775807,\"yes\":true}");
}

TEST(LogLine, SaysTheTimeInUtc) {
  const auto time = [](std::int64_t unix_millis) {
    return FormatLine(unix_millis, Level::kInfo, "", "", "", {}).substr(7, 24);
  };
  EXPECT_EQ(time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time(951'827'696'007), "2000-02-29T12:34:56.007Z");
  EXPECT_EQ(time(1'798'761'599'999), "2026-12-31T23:59:59.999Z");
}

TEST(Log, WritesWhatIsOnAndFlushesWarnings) {
  InitLog("test", "test-1", "warn");
  testing::internal::CaptureStdout();
  LogDebug("not.shown");
  LogInfo("not.shown");
  LogWarn("shown", {{"n", 1}});
  LogError("shown.too");
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, testing::HasSubstr(
                        "\"service\":\"test\",\"instance\":\"test-1\",\"event\":\"shown\",\"n\":1}\n"));
  EXPECT_THAT(text, testing::HasSubstr("\"level\":\"error\""));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("not.shown")));
  EXPECT_FALSE(IsLogged(Level::kInfo));
  InitLog("test", "test-1", "debug");
  EXPECT_TRUE(IsLogged(Level::kDebug));
  InitLog("test", "test-1", "info");
}

TEST(HashedJid, IsStableAndTellsAddressesApart) {
  EXPECT_EQ(HashedJid("romeo@localhost").size(), 16u);
  EXPECT_EQ(HashedJid("romeo@localhost"), HashedJid("romeo@localhost"));
  EXPECT_NE(HashedJid("romeo@localhost"), HashedJid("juliet@localhost"));
}

TEST(HashedJidDeathTest, UnderASharedKeyIsWhatTheClusterToolPrints) {
  // The key is read once in a process's life: a child has this one. The same value stands in
  // deploy/local/tests/test_jid_hash.py.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        ::setenv("ROOKERY_LOG_JID_KEY", "a key for tests", 1);
        std::exit(HasSharedJidKey() && HashedJid("ann@localhost") == "5bce24ab86d31d75" ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(TraceId, IsSixteenHexDigits) {
  EXPECT_EQ(TraceId(0), "0000000000000000");
  EXPECT_EQ(TraceId(0xabcULL), "0000000000000abc");
  EXPECT_EQ(TraceId(~0ULL), "ffffffffffffffff");
}

}  // namespace
}  // namespace rookery::telemetry
