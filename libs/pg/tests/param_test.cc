#include <gtest/gtest.h>

#include "rookery/pg/pool.h"

namespace rookery::pg {
namespace {

TEST(Param, TextArrayQuotesWhatTheLiteralWouldRead) {
  EXPECT_EQ(*Param::TextArray({}).value, "{}");
  EXPECT_EQ(*Param::TextArray({"a", "", "NULL", "b,c", "q\"q", "back\\slash", "{}"}).value,
            "{\"a\",\"\",\"NULL\",\"b,c\",\"q\\\"q\",\"back\\\\slash\",\"{}\"}");
}

TEST(Param, BytesArrayIsHex) {
  EXPECT_EQ(*Param::BytesArray({std::string("\0\xff", 2), ""}).value, "{\"\\\\x00ff\",\"\\\\x\"}");
}

TEST(Param, IntArray) {
  EXPECT_EQ(*Param::IntArray({1, -2, 9007199254740993}).value, "{1,-2,9007199254740993}");
}

TEST(Param, IdsAreNumbersAsBigintHasThem) {
  EXPECT_EQ(*Param::Id(0x7fff'ffff'ffff'ffff).value, "9223372036854775807");
  EXPECT_EQ(*Param::IdArray({0, 0x7fff'ffff'ffff'ffff}).value, "{0,9223372036854775807}");
}

TEST(Param, NullIsNotEmpty) {
  EXPECT_FALSE(Param::Null().value.has_value());
  EXPECT_TRUE(Param::Text("").value.has_value());
}

}  // namespace
}  // namespace rookery::pg
