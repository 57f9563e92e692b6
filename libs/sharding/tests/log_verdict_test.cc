#include "rookery/sharding/log_verdict.h"

#include <gtest/gtest.h>

namespace rookery::sharding {
namespace {

struct Case {
  const char* name;
  LogRange range;
  LogKnowledge known;
  bool was_cut;
  std::int64_t least_epoch;
};

class LogVerdictTest : public ::testing::TestWithParam<Case> {};

TEST_P(LogVerdictTest, IsWhatFollows) {
  const LogVerdict verdict = Judge(GetParam().range, GetParam().known);
  EXPECT_EQ(verdict.was_cut, GetParam().was_cut);
  EXPECT_EQ(verdict.least_epoch, GetParam().least_epoch);
}

constexpr LogRange Range(std::int64_t committed, std::int64_t end) {
  LogRange range;
  range.committed = committed;
  range.end = end;
  return range;
}

INSTANTIATE_TEST_SUITE_P(
    All, LogVerdictTest,
    ::testing::Values(Case{"FirstOwner", Range(-1, 0), {}, false, -1},
                      Case{"Untouched", Range(90, 100), {.former_end = 100, .newest_epoch = 80}, false, -1},
                      Case{"FoundBefore", Range(90, 100), {.is_cut = true, .newest_epoch = 80}, true, 91},
                      Case{"CommittedBeyondTheEnd", Range(101, 100), {.newest_epoch = 80}, true, 102},
                      Case{"CommittedAtTheEnd", Range(100, 100), {.newest_epoch = 80}, false, -1},
                      Case{"ItWasLonger", Range(90, 100), {.former_end = 101, .newest_epoch = 80}, true, 91},
                      Case{"NobodysCursor_TheFenceIsGone", Range(-1, 100), {.newest_epoch = 100}, true, 101},
                      Case{"NobodysCursor_TheFenceIsThere", Range(-1, 100), {.newest_epoch = 99}, false, -1},
                      Case{"TheCursorIsOurOwn_TheFenceIsGone",
                           Range(90, 100),
                           {.had_cursor = false, .newest_epoch = 120},
                           true,
                           121},
                      // Epochs are above offsets since an earlier cut.
                      Case{"EpochsAreAhead", Range(90, 100), {.newest_epoch = 120}, false, 121}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rookery::sharding
