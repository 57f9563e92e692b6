#include "domain/text/text_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "domain/text/tsquery.h"

namespace rookery::search {
namespace {

/// The tsquery of what was typed, or "nothing".
std::string Query(std::string_view typed) {
  const std::optional<TextSearch> search = ReadTextSearch(typed);
  return search ? TsqueryOf(*search) : "nothing";
}

std::string Repeat(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

// ---- words and phrases ------------------------------------------------------

TEST(TextSearch, AllWords) {
  EXPECT_EQ(Query("Ann"), "'ann'");
  EXPECT_EQ(Query("  Straße\t ÉTÉ\n x "), "('strasse' & 'ete' & 'x')");
  EXPECT_EQ(Query("ann　bob"), "('ann' & 'bob')");
  EXPECT_EQ(Query("& ann | ! bob :* <->"), "('ann' & 'bob')");
}

TEST(TextSearch, ItsTree) {
  const std::optional<TextSearch> search = ReadTextSearch("a \"b c*\" -d");
  using Kind = TextSearch::Kind;
  const TextSearch a{.phrase = {{"a"}}};
  const TextSearch phrase{.phrase = {{"b"}, {"c", true}}};
  const TextSearch not_d{.kind = Kind::kNot, .parts = {TextSearch{.phrase = {{"d"}}}}};
  EXPECT_EQ(search, (TextSearch{.kind = Kind::kAll, .parts = {a, phrase, not_d}}));
}

TEST(TextSearch, AWordThatIsSeveralIsAPhrase) {
  EXPECT_EQ(Query("don't"), "('don' <-> 't')");
  EXPECT_EQ(Query("foo-bar x"), "(('foo' <-> 'bar') & 'x')");
  EXPECT_EQ(Query("今天天气"), "('今天' <-> '天气')");
  EXPECT_EQ(Query("ภาษาไทย"), "('ภาษา' <-> 'ไทย')");
  EXPECT_EQ(Query("👍👍"), "('👍' <-> '👍')");
  EXPECT_EQ(Query("ann@example.org"), "('ann' <-> 'example' <-> 'org')");
}

TEST(TextSearch, Phrases) {
  EXPECT_EQ(Query("\"to be or\" not"), "(('to' <-> 'be' <-> 'or') & 'not')");
  EXPECT_EQ(Query("\"a OR -b (c)\""), "('a' <-> 'or' <-> 'b' <-> 'c')");
  for (const char* typed : {"“a b”", "„a b“", "”a b”", "« a b »", "»a b«", "「a b」", "『a　b』", "＂a b＂"})
    EXPECT_EQ(Query(typed), "('a' <-> 'b')") << typed;
  EXPECT_EQ(Query("(\"a b\")"), "('a' <-> 'b')");
}

TEST(TextSearch, QuotationMarksThatAreNone) {
  EXPECT_EQ(Query("\"a b"), "('a' & 'b')");
  EXPECT_EQ(Query("a b\""), "('a' & 'b')");
  EXPECT_EQ(Query("5\" x 3\""), "('5' & 'x' & '3')");
  // Hebrew abbreviations have one in front of their last letter.
  EXPECT_EQ(Query("צה\"ל x"), "(('צה' <-> 'ל') & 'x')");
  EXPECT_EQ(Query("\"צה\"ל x\""), "('צה' <-> 'ל' <-> 'x')");
  EXPECT_EQ(Query("\"\" \"\"\" \" \""), "nothing");
}

TEST(TextSearch, Prefixes) {
  EXPECT_EQ(Query("Donau*"), "'donau':*");
  EXPECT_EQ(Query("foo-ba*"), "('foo' <-> 'ba':*)");
  EXPECT_EQ(Query("\"foo ba*\""), "('foo' <-> 'ba':*)");
  EXPECT_EQ(Query("\"foo ba\"*"), "('foo' <-> 'ba':*)");
  EXPECT_EQ(Query("北京*"), "'北京':*");
  EXPECT_EQ(Query("ｆｏｏ＊"), "'foo':*");
  EXPECT_EQ(Query("* a * b **"), "('a' & 'b')");
  EXPECT_EQ(Query("*a"), "'a'");
  EXPECT_EQ(Query("a*b"), "('a' <-> 'b')");
  EXPECT_EQ(Query("\"\"* a"), "'a'");
}

// ---- operators --------------------------------------------------------------

TEST(TextSearch, Operators) {
  EXPECT_EQ(Query("a OR b"), "('a' | 'b')");
  EXPECT_EQ(Query("a AND b"), "('a' & 'b')");
  EXPECT_EQ(Query("a b OR c d"), "(('a' & 'b') | ('c' & 'd'))");
  EXPECT_EQ(Query("a (b OR c) d"), "('a' & ('b' | 'c') & 'd')");
  EXPECT_EQ(Query("a -b"), "('a' & !'b')");
  EXPECT_EQ(Query("a NOT b"), "('a' & !'b')");
  EXPECT_EQ(Query("a AND NOT \"b c\""), "('a' & !('b' <-> 'c'))");
  EXPECT_EQ(Query("a -b-c"), "('a' & !('b' <-> 'c'))");
  EXPECT_EQ(Query("a -\"b c\""), "('a' & !('b' <-> 'c'))");
  EXPECT_EQ(Query("a -(b OR c)"), "('a' & !('b' | 'c'))");
  EXPECT_EQ(Query("a －b"), "('a' & !'b')");
  EXPECT_EQ(Query("a (-b)"), "('a' & !'b')");
  EXPECT_EQ(Query("a NOT -b"), "('a' & 'b')");
}

TEST(TextSearch, OperatorsThatAreWords) {
  EXPECT_EQ(Query("a or b"), "('a' & 'or' & 'b')");
  EXPECT_EQ(Query("OR a"), "('or' & 'a')");
  EXPECT_EQ(Query("a AND"), "('a' & 'and')");
  EXPECT_EQ(Query("NOT"), "'not'");
  EXPECT_EQ(Query("a OR OR b"), "(('a' & 'or') | 'b')");
  EXPECT_EQ(Query("(AND)"), "'and'");
  EXPECT_EQ(Query("\"OR\""), "'or'");
  EXPECT_EQ(Query("a ORb"), "('a' & 'orb')");
  EXPECT_EQ(Query("a -OR b"), "('a' & !'or' & 'b')");
  EXPECT_EQ(Query("a -NOT -AND"), "('a' & !'not' & !'and')");
}

TEST(TextSearch, HyphensThatAreNone) {
  EXPECT_EQ(Query("a - b"), "('a' & 'b')");
  EXPECT_EQ(Query("--help"), "'help'");
  EXPECT_EQ(Query("a- b"), "('a' & 'b')");
  EXPECT_EQ(Query("a -"), "'a'");
  // What is not wanted has no words. It does not make the next one unwanted.
  EXPECT_EQ(Query("-。 a"), "'a'");
  EXPECT_EQ(Query("-\"!\" a"), "'a'");
  EXPECT_EQ(Query("-() a"), "'a'");
  EXPECT_EQ(Query("-(a b"), "('a' & 'b')");
}

TEST(TextSearch, Parentheses) {
  EXPECT_EQ(Query("((a))"), "'a'");
  EXPECT_EQ(Query("(a"), "'a'");
  EXPECT_EQ(Query("a) b"), "('a' & 'b')");
  EXPECT_EQ(Query(")a("), "'a'");
  EXPECT_EQ(Query("a :) b ;-("), "('a' & 'b')");
  EXPECT_EQ(Query("f(x)"), "('f' & 'x')");
  EXPECT_EQ(Query("()"), "nothing");
  EXPECT_EQ(Query("a OR ()"), "'a'");
  EXPECT_EQ(Query("（a OR b）c"), "(('a' | 'b') & 'c')");
}

// ---- nothing to look for ----------------------------------------------------

TEST(TextSearch, NoWords) {
  for (const char* typed : {"", " ", "!", "'", "\\", "*", "-", "\"", "()", "...", "\xff\xfe", "\u0301"})
    EXPECT_EQ(Query(typed), "nothing") << typed;
}

TEST(TextSearch, OnlyWhatIsNotWanted) {
  EXPECT_EQ(Query("-a"), "nothing");
  EXPECT_EQ(Query("NOT a -b"), "nothing");
  EXPECT_EQ(Query("-(a b)"), "nothing");
  EXPECT_EQ(Query("a OR -b"), "nothing");
  EXPECT_EQ(Query("-(a -b)"), "nothing");
}

TEST(TextSearch, WhatIsNotWantedBesideWhatIs) {
  EXPECT_EQ(Query("a (b OR -c)"), "('a' & ('b' | !'c'))");
  EXPECT_EQ(Query("a -b OR c -d"), "(('a' & !'b') | ('c' & !'d'))");
  EXPECT_EQ(Query("-(-a)"), "!!'a'");
  // Neither b nor a text without a.
  EXPECT_EQ(Query("-(-a OR b)"), "!(!'a' | 'b')");
}

// ---- limits and hostile searches --------------------------------------------

TEST(TextSearch, NotText) {
  EXPECT_EQ(Query(std::string_view("a\0b", 3)), "('a' <-> 'b')");
  EXPECT_EQ(Query("a\xff' | 'b\xc3"), "('a' & 'b')");
  EXPECT_EQ(Query("a'); DROP TABLE x; --"), "('a' & 'drop' & 'table' & 'x')");
}

TEST(TextSearch, LimitOfBytes) {
  const std::string spaces(kMaxSearchBytes - 4, ' ');
  EXPECT_EQ(Query(spaces + "ab c"), "('ab' & 'c')");
  // The last one may have been cut.
  EXPECT_EQ(Query(spaces + "ab cd"), "'ab'");
  EXPECT_EQ(Query(std::string(100'000, 'x')), absl::StrCat("'", std::string(256, 'x'), "'"));
  EXPECT_EQ(Query(std::string(100'000, 'x') + "*"), absl::StrCat("'", std::string(256, 'x'), "'"));
  EXPECT_EQ(Query("a" + Repeat("\u0301", 100'000)), "'a'");
}

TEST(TextSearch, LimitOfWords) {
  const auto words_in = [](const std::string& query) {
    return std::count(query.begin(), query.end(), '\'') / 2;
  };
  EXPECT_EQ(words_in(Query(Repeat("a ", 500))), kMaxSearchWords);
  EXPECT_EQ(words_in(Query("\"" + Repeat("a ", 500) + "\"")), kMaxSearchWords);
  EXPECT_EQ(words_in(Query(Repeat("今天", 150))), kMaxSearchWords);
  EXPECT_LE(words_in(Query(Repeat("NOT ", 250))), kMaxSearchWords);
  EXPECT_LE(words_in(Query(Repeat("\ufdfa ", 250))), kMaxSearchWords);
}

TEST(TextSearch, LimitOfDepth) {
  const auto nested = [](std::size_t depth) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) absl::StrAppend(&text, "w (");
    return Query(text + "x OR y" + Repeat(")", depth));
  };
  EXPECT_THAT(nested(kMaxSearchDepth), ::testing::HasSubstr("('x' | 'y')"));
  EXPECT_THAT(nested(kMaxSearchDepth + 1), ::testing::HasSubstr("(('w' & 'x') | 'y')"));
  EXPECT_EQ(Query(Repeat("(", 1'000)), "nothing");
  EXPECT_EQ(Query(Repeat("(", 500) + "a" + Repeat(")", 500)), "'a'");
  EXPECT_EQ(Query("a " + Repeat("-(", 300) + "b" + Repeat(")", 300)),
            absl::StrCat("('a' & ", Repeat("!", kMaxSearchDepth), "'b')"));
}

}  // namespace
}  // namespace rookery::search
