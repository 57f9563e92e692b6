#include "rookery/xmpp/search_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery::xmpp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SearchText, Folded_CaseWidthAndCompositionDoNotMatter) {
  EXPECT_EQ(FoldForSearch("Straße"), FoldForSearch("STRASSE"));
  EXPECT_EQ(FoldForSearch("ÄRGER"), FoldForSearch("a\xcc\x88rger"));
  EXPECT_EQ(FoldForSearch("ＸＭＰＰ"), "xmpp");
  EXPECT_EQ(FoldForSearch("Привет"), FoldForSearch("ПРИВЕТ"));
  EXPECT_NE(FoldForSearch("cafe"), FoldForSearch("café"));
  EXPECT_EQ(FoldForSearch(""), "");
}

TEST(SearchText, Folded_WhatIsNotUtf8IsNoTrouble) {
  EXPECT_EQ(FoldForSearch("A\xff"), "a\xff");
  EXPECT_THAT(SearchWordsOf("\xff \xc3"), IsEmpty());
}

TEST(SearchText, Words_EachOnce) {
  EXPECT_THAT(SearchWordsOf("  Foo\tbar\xe3\x80\x80"
                            "FOO baz\n"),
              ElementsAre("foo", "bar", "baz"));
}

TEST(SearchText, Words_HaveALetterOrADigit) {
  EXPECT_THAT(SearchWordsOf("rock & roll 100% c++ _ \xf0\x9f\x8e\x89"),
              ElementsAre("rock", "roll", "100%", "c++"));
  EXPECT_THAT(SearchWordsOf("日本 कि"), ElementsAre("日本", "कि"));
  EXPECT_THAT(SearchWordsOf(" %_ \\ -- "), IsEmpty());
  EXPECT_THAT(SearchWordsOf(""), IsEmpty());
}

}  // namespace
}  // namespace rookery::xmpp
