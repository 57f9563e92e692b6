#include "protocols/xmpp/silence_watch.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

using Due = SilenceWatch::Due;
using std::chrono::seconds;

constexpr seconds kIdle{300};
constexpr seconds kAnswer{60};

TEST(SilenceWatch, ASilentClientIsProbedOncePerIdleTime) {
  const SteadyTime start{};
  SilenceWatch watch(start);
  EXPECT_EQ(watch.Check(start + seconds(300), start, kIdle, kAnswer), Due::kNothing);
  EXPECT_EQ(watch.Check(start + seconds(301), start, kIdle, kAnswer), Due::kProbe);
  EXPECT_EQ(watch.Check(start + seconds(302), start, kIdle, kAnswer), Due::kNothing);
  EXPECT_EQ(watch.Check(start + seconds(602), start, kIdle, kAnswer), Due::kProbe);
}

TEST(SilenceWatch, AClientThatTalksIsNotProbed) {
  const SteadyTime start{};
  SilenceWatch watch(start);
  EXPECT_EQ(watch.Check(start + seconds(1000), start + seconds(900), kIdle, kAnswer), Due::kNothing);
}

TEST(SilenceWatch, WhoOwesAnAnswerAndSaysNothingIsGone) {
  const SteadyTime start{};
  SilenceWatch watch(start);
  watch.Asked(start + seconds(10));
  EXPECT_EQ(watch.Check(start + seconds(70), start, kIdle, kAnswer), Due::kNothing);
  EXPECT_EQ(watch.Check(start + seconds(71), start, kIdle, kAnswer), Due::kGone);
  // Bytes of any kind are a sign of life.
  EXPECT_EQ(watch.Check(start + seconds(71), start + seconds(10), kIdle, kAnswer), Due::kNothing);
  watch.Answered();
  EXPECT_EQ(watch.Check(start + seconds(71), start, kIdle, kAnswer), Due::kNothing);
}

}  // namespace
}  // namespace rookery::gateway
