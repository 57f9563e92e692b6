#include "rookery/sharding/applied_records.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace rookery::sharding {
namespace {

TEST(AppliedRecords, EachOnce) {
  AppliedRecords applied;
  EXPECT_TRUE(applied.Insert(7, 1));
  EXPECT_FALSE(applied.Insert(7, 1));
  EXPECT_TRUE(applied.Insert(7, 2));
  EXPECT_TRUE(applied.Insert(7 + (1 << 16), 1));
  EXPECT_TRUE(applied.Insert((std::int64_t{1} << 40) + 7, 4'000'000'000));
  EXPECT_FALSE(applied.Insert((std::int64_t{1} << 40) + 7, 4'000'000'000));
  EXPECT_EQ(applied.size(), 4u);
}

TEST(AppliedRecords, ManyThatLieSparse_TwoToFourBytesEach) {
  AppliedRecords applied;
  // So much of another shard is for one of 256.
  for (std::int64_t i = 0; i < 100'000; ++i) ASSERT_TRUE(applied.Insert(i * 256, 1));
  EXPECT_LT(applied.bytes(), 100'000u * 5);
  for (std::int64_t i = 0; i < 100'000; ++i) ASSERT_FALSE(applied.Insert(i * 256, 1));
}

TEST(AppliedRecords, ManyThatLieDense_OneBitEach) {
  AppliedRecords applied;
  for (std::int64_t i = 0; i < 200'000; ++i) ASSERT_TRUE(applied.Insert(i, 1));
  EXPECT_LT(applied.bytes(), 50'000u);
  for (std::int64_t i = 0; i < 200'000; ++i) ASSERT_FALSE(applied.Insert(i, 1));
}

TEST(AppliedRecords, WhatIsErasedCostsNothing) {
  for (const std::int64_t step : {1, 256}) {
    AppliedRecords applied;
    for (std::int64_t i = 0; i < 100'000; ++i) applied.Insert(i * step, 1);
    applied.EraseBefore(99'990 * step);
    EXPECT_EQ(applied.size(), 10u);
    EXPECT_LT(applied.bytes(), 200u);
    applied.EraseFrom(99'995 * step);
    EXPECT_EQ(applied.size(), 5u);
    applied.EraseBefore(100'000 * step);
    EXPECT_EQ(applied.size(), 0u);
    EXPECT_EQ(applied.bytes(), 0u);
  }
}

TEST(AppliedRecords, AsASetOfPairs_WhateverIsPutInAndErased) {
  for (const std::int64_t range : {50, 5'000, 200'000}) {
    std::mt19937 random(static_cast<unsigned>(range));
    AppliedRecords applied;
    std::set<std::pair<std::int64_t, std::uint32_t>> expected;
    std::int64_t first = 0;
    for (int i = 0; i < 60'000; ++i) {
      const std::int64_t offset = first + static_cast<std::int64_t>(random() % static_cast<unsigned>(range));
      const std::uint32_t part = 1 + random() % 3;
      ASSERT_EQ(applied.Insert(offset, part), expected.emplace(offset, part).second);
      if (i % 5'000 == 4'999) {
        first += range / 3;
        applied.EraseBefore(first);
        expected.erase(expected.begin(), expected.lower_bound({first, 0}));
      }
      if (i % 20'000 == 19'999) {
        applied.EraseFrom(first + range / 2);
        expected.erase(expected.lower_bound({first + range / 2, 0}), expected.end());
      }
      ASSERT_EQ(applied.size(), expected.size());
    }
    for (const auto& [offset, part] : expected) ASSERT_FALSE(applied.Insert(offset, part));
  }
}

}  // namespace
}  // namespace rookery::sharding
