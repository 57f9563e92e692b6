#include "protocols/xmpp/output_pace.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

constexpr std::size_t kLimit = 1000;

TEST(OutputPace, OneLargeStanzaIsNeverTooMuch) {
  OutputPace pace({});
  pace.Add(5000, 0);
  EXPECT_FALSE(pace.IsOver(5000, kLimit));
  // Nor with small ones behind it.
  pace.Add(500, 5000);
  pace.Add(500, 5500);
  EXPECT_FALSE(pace.IsOver(6000, kLimit));
  pace.Add(1, 6000);
  EXPECT_TRUE(pace.IsOver(6001, kLimit));
}

TEST(OutputPace, ALargeStanzaIsForgottenOnceNothingIsHeld) {
  OutputPace pace({});
  pace.Add(5000, 0);
  pace.Add(10, 0);
  EXPECT_FALSE(pace.IsOver(1010, kLimit));
  EXPECT_TRUE(pace.IsOver(1011, kLimit));
}

TEST(OutputPace, ManySmallStanzasAreTooMuch) {
  OutputPace pace({});
  std::size_t held = 0;
  while (!pace.IsOver(held, kLimit)) {
    pace.Add(10, held);
    held += 10;
    ASSERT_LE(held, kLimit + 20);
  }
  EXPECT_GT(held, kLimit);
}

TEST(OutputPace, OnlyTimeWithoutProgressCounts) {
  using std::chrono::seconds;
  const SteadyTime start{};
  OutputPace pace(start);
  EXPECT_EQ(pace.Stalled(start + seconds(100), 0, 0), seconds(0));
  EXPECT_EQ(pace.Stalled(start + seconds(130), 10, 0), seconds(30));
  // A byte was taken, much is still queued.
  EXPECT_EQ(pace.Stalled(start + seconds(160), 10'000, 1), seconds(0));
  EXPECT_EQ(pace.Stalled(start + seconds(170), 10'000, 1), seconds(10));
  EXPECT_EQ(pace.Stalled(start + seconds(180), 0, 10'001), seconds(0));
}

}  // namespace
}  // namespace rookery::gateway
