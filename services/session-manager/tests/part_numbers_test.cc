#include "domain/state/part_numbers.h"

#include <gtest/gtest.h>

namespace rookery::session_manager::part_numbers {
namespace {

// Other owners, of other releases too, tell repetitions by these.

TEST(PartNumbers, EachAudienceOfAnEndHasARange) {
  EXPECT_EQ(RangeOf(Audience::kOwn), 0u);
  EXPECT_EQ(RangeOf(Audience::kSubscribers), 0x10000u);
  EXPECT_EQ(RangeOf(Audience::kDirected), 0x20000u);
}

TEST(PartNumbers, EachPlaceOfAFanoutHasARange) {
  EXPECT_EQ(RangeOfPlace(0), 0u);
  EXPECT_EQ(RangeOfPlace(7), 0x70000u);
}

TEST(PartNumbers, WhatIsSaidToRoomsLiesBelowRefusals) {
  EXPECT_EQ(OfAddress(0), 0x20000000u);
  EXPECT_EQ(OfAddress(0xffffffffu), 0x3fffffffu);
  EXPECT_EQ(BeforeRefusal(3), 0x40000003u);
}

TEST(PartNumbers, ErrorsAndSessionsHaveTheUpperHalf) {
  EXPECT_EQ(BeforeError(5), 0x80000005u);
  EXPECT_EQ(BeforeError(std::int64_t{1} << 40 | 5), 0x80000005u);
  EXPECT_EQ(BeforeSession(0), 0x80000000u);
  EXPECT_EQ(BeforeSession(0x12345679u), 0x92345678u);
}

}  // namespace
}  // namespace rookery::session_manager::part_numbers
