#include "domain/text/tsvector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "domain/text/lexeme.h"

namespace rookery::search {
namespace {

using ::testing::EndsWith;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(Lexeme, NothingLeavesItsQuotes) {
  std::string literal;
  AppendLexeme(literal, "a'b\\c d");
  EXPECT_EQ(literal, "'a''b\\\\c d'");
}

TEST(Tsvector, WordsAndTheirPlaces) {
  EXPECT_EQ(TsvectorOf("To be, or not to be"), "'be':2,6 'not':4 'or':3 'to':1,5");
  EXPECT_EQ(TsvectorOf("今天天气"), "'今天':1 '天气':2");
  EXPECT_EQ(TsvectorOf("it's \\ ' '' x:1"), "'1':4 'it':1 's':2 'x':3");
}

TEST(Tsvector, InOrderOfTheirBytes) {
  EXPECT_EQ(TsvectorOf("é😀 ж b ab"), "'ab':5 'b':4 'e':1 'ж':3 '😀':2");
}

TEST(Tsvector, OfNoWords) {
  EXPECT_EQ(TsvectorOf(""), "");
  EXPECT_EQ(TsvectorOf(" -- ' \\ \xff"), "");
}

TEST(Tsvector, LimitOfText) {
  std::string text(kMaxTextBytes - 1, ' ');
  EXPECT_EQ(TsvectorOf(text + "ab"), "'a':1");
}

TEST(Tsvector, LimitOfWords) {
  std::string text;
  for (std::size_t i = 0; i < kMaxTextWords; ++i) text += "a ";
  EXPECT_EQ(TsvectorOf(text + "b").find("'b'"), std::string::npos);
  text.resize(text.size() - 2);
  EXPECT_THAT(TsvectorOf(text + "b c"), EndsWith(" 'b':16383"));
}

TEST(Tsvector, LimitOfPlaces) {
  std::string text;
  for (std::size_t i = 0; i < 1'000; ++i) text += "a ";
  const std::string literal = TsvectorOf(text + "b");
  EXPECT_THAT(literal, StartsWith("'a':1,2,"));
  EXPECT_THAT(literal, EndsWith(",255 'b':1001"));
}

TEST(Tsvector, LongWordsAreCut) {
  const std::string word(kMaxWordBytes, 'x');
  EXPECT_EQ(TsvectorOf(word + "yz z"), absl::StrCat("'", word, "':1 'z':2"));
  EXPECT_EQ(TsvectorOf(std::string(1'000'000, 'x')), absl::StrCat("'", word, "':1"));
}

TEST(Tsvector, IsFarFromAMegabyte) {
  // Every word another one, of a character that becomes 18.
  std::string text;
  for (int i = 0; text.size() < kMaxTextBytes; ++i) absl::StrAppend(&text, "\ufdfa", i);
  EXPECT_LT(TsvectorOf(text).size(), 512u * 1024);
  // Every word as long as it can be.
  text.clear();
  for (int i = 0; text.size() < kMaxTextBytes; ++i) absl::StrAppend(&text, std::string(248, 'x'), i, " ");
  EXPECT_LT(TsvectorOf(text).size(), 512u * 1024);
}

}  // namespace
}  // namespace rookery::search
