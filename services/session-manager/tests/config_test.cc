#include "config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// Strangers cause them, and all of them are shown at sign-in.
TEST(Config, RequestsToSubscribeFillNoMoreThanHalfOfWhatMayWaitForAClient) {
  Config config;
  const auto wrong = [&] {
    config::Problems problems;
    config.Validate(problems);
    return std::vector<std::string>(problems.lines().begin(), problems.lines().end());
  };
  const auto told = Contains(HasSubstr("roster.max-pending-requests"));
  EXPECT_THAT(wrong(), Not(told));
  config.settings.max_pending_requests = config.settings.max_unacked_packets / 2;
  EXPECT_THAT(wrong(), Not(told));
  ++config.settings.max_pending_requests;
  EXPECT_THAT(wrong(), told);
}

}  // namespace
}  // namespace rookery::session_manager
