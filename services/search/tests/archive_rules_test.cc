#include "domain/archive_rules.h"

#include <gmock/gmock.h>

#include <limits>

namespace rookery::search {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

TEST(IsStorable, PositionsAndIdsThatThereAre) {
  ArchivedMessage message;
  message.owner = "juliet@example.org";
  message.id = 1;
  EXPECT_TRUE(IsStorable(message));
  message.position = ArchiveFilter::kMaxPosition;
  EXPECT_TRUE(IsStorable(message));
  ++message.position;
  EXPECT_FALSE(IsStorable(message));
  message.position = -1;
  EXPECT_FALSE(IsStorable(message));
  message.position = 0;
  message.id = 0;
  EXPECT_FALSE(IsStorable(message));
}

TEST(PositionRangeOf, WithinWhatThereCanBe) {
  ArchiveFilter filter;
  EXPECT_EQ(PositionRangeOf(filter), (PositionRange{0, ArchiveFilter::kMaxPosition}));
  filter.first_position = 25;
  filter.last_position = 26;
  EXPECT_EQ(PositionRangeOf(filter), (PositionRange{25, 26}));
  filter.first_position = std::numeric_limits<std::int64_t>::max();
  filter.last_position = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(PositionRangeOf(filter), (PositionRange{ArchiveFilter::kMaxPosition + 1, -1}));
}

TEST(NamedIdsOf, EachOnce_AndWhatItBounds) {
  PageRequest request;
  request.filter.ids = {{3, 1, 3}};
  request.filter.after_id = 1;
  request.before = 9;
  request.after = 4;
  const NamedIds named = NamedIdsOf(request);
  EXPECT_THAT(named.all, ElementsAre(1, 3, 4, 9));
  EXPECT_THAT(named.after, ElementsAre(1, 4));
  EXPECT_THAT(named.before, ElementsAre(9));
  EXPECT_THAT(NamedIdsOf(request.filter).all, ElementsAre(1, 3));
  EXPECT_THAT(NamedIdsOf(request.filter).before, IsEmpty());
}

TEST(OwnerKeyOf, KeptOnDisk) {
  // SHA-256 of "a", its first 8 bytes.
  EXPECT_EQ(OwnerKeyOf("a"), -3'848'465'438'864'589'366);
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
