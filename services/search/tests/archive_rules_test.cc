#include "domain/archive_rules.h"

#include <gmock/gmock.h>

#include <limits>

namespace rookery::search {
namespace {

constexpr std::int64_t kHour = 3'600'000;
/// 2024-02-29T00:00:00Z
constexpr std::int64_t kLeapDay = 1'709'164'800'000;

TEST(PeriodOf, Days) {
  const TimeSpan day{kLeapDay, kLeapDay + 24 * kHour};
  EXPECT_EQ(PeriodOf(kLeapDay, ArchivePeriod::kDay), day);
  EXPECT_EQ(PeriodOf(kLeapDay + 24 * kHour - 1, ArchivePeriod::kDay), day);
  EXPECT_EQ(PeriodOf(kLeapDay - 1, ArchivePeriod::kDay), (TimeSpan{kLeapDay - 24 * kHour, kLeapDay}));
}

TEST(PeriodOf, Months) {
  const TimeSpan february{kLeapDay - 28 * 24 * kHour, kLeapDay + 24 * kHour};
  EXPECT_EQ(PeriodOf(kLeapDay + kHour, ArchivePeriod::kMonth), february);
  EXPECT_EQ(PeriodOf(february.from_ms, ArchivePeriod::kMonth), february);
  EXPECT_EQ(PeriodOf(february.to_ms - 1, ArchivePeriod::kMonth), february);
  EXPECT_EQ(PeriodOf(february.to_ms, ArchivePeriod::kMonth)->from_ms, february.to_ms);
}

TEST(PeriodOf, NoneOutsideOfWhatIsMadeFor_AndNoneReachesOut) {
  for (const ArchivePeriod period : {ArchivePeriod::kDay, ArchivePeriod::kMonth}) {
    EXPECT_EQ(PeriodOf(kFirstPeriodMs - 1, period), std::nullopt);
    EXPECT_EQ(PeriodOf(kFirstPeriodMs, period)->from_ms, kFirstPeriodMs);
    EXPECT_EQ(PeriodOf(kPastPeriodsMs - 1, period)->to_ms, kPastPeriodsMs);
    EXPECT_EQ(PeriodOf(kPastPeriodsMs, period), std::nullopt);
    EXPECT_EQ(PeriodOf(std::numeric_limits<std::int64_t>::min(), period), std::nullopt);
    EXPECT_EQ(PeriodOf(std::numeric_limits<std::int64_t>::max(), period), std::nullopt);
  }
}

TEST(IdRangeOf, TheNarrowestBoundsHold) {
  PageRequest request;
  EXPECT_EQ(IdRangeOf(request), (IdRange{1, ArchiveFilter::kMaxId}));
  request.filter.after_id = 10;
  request.after = 20;
  request.filter.before_id = 40;
  request.before = 30;
  EXPECT_EQ(IdRangeOf(request), (IdRange{21, 29}));
  EXPECT_EQ(IdRangeOf(request.filter), (IdRange{11, 39}));
  request.filter.first_id = 25;
  request.filter.last_id = 26;
  EXPECT_EQ(IdRangeOf(request), (IdRange{25, 26}));
}

TEST(IdRangeOf, IdsThatThereCannotBe) {
  PageRequest request;
  request.after = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(IdRangeOf(request).first, ArchiveFilter::kMaxId + 1);
  request.after.reset();
  request.before = 0;
  EXPECT_EQ(IdRangeOf(request).last, 0u);
}

TEST(NamedIds, EachOnce) {
  PageRequest request;
  request.filter.ids = {{3, 1, 3}};
  request.filter.after_id = 1;
  request.before = 9;
  EXPECT_THAT(NamedIds(request), ::testing::ElementsAre(1, 3, 9));
}

TEST(WithKeyOf, KeptOnDisk) {
  // SHA-256 of "a\0b", its first 8 bytes: what is written today is looked for tomorrow.
  EXPECT_EQ(WithKeyOf("a", "b"), 6'463'353'407'833'682'387);
  EXPECT_NE(WithKeyOf("a", "b"), WithKeyOf("ab", ""));
  EXPECT_NE(WithKeyOf("a", "b"), WithKeyOf("a", "b", ""));
  EXPECT_NE(WithKeyOf("a", "b", "c"), WithKeyOf("a", "c", "b"));
}

}  // namespace
}  // namespace rookery::search
