#include "rookery/xmpp/text_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace rookery::xmpp {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Words = std::vector<std::string>;

Words WordsOf(std::string_view text) {
  return WordsInText(text, {.text_bytes = 64 * 1024, .words = 10'000, .word_bytes = 256});
}

std::string Repeat(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

// ---- where words end --------------------------------------------------------

TEST(TextWords, AreDividedBySpacesAndSigns) {
  EXPECT_THAT(WordsOf("Hello, world (again)!\n2nd\tline"),
              ElementsAre("hello", "world", "again", "2nd", "line"));
  EXPECT_THAT(WordsOf(" ... -- %_ \\ ' \" $ "), IsEmpty());
  EXPECT_THAT(WordsOf(""), IsEmpty());
}

TEST(TextWords, AreDividedBySignsInsideThem) {
  EXPECT_THAT(WordsOf("don't don’t foo-bar foo_bar _bold_"),
              ElementsAre("don", "t", "don", "t", "foo", "bar", "foo", "bar", "bold"));
  EXPECT_THAT(WordsOf("www.example.org l'arbre 3.14 1,000 12:30"),
              ElementsAre("www", "example", "org", "l", "arbre", "3", "14", "1", "000", "12", "30"));
  EXPECT_THAT(WordsOf("C++ x²+y² ½"), ElementsAre("c", "x", "2", "y", "2", "1", "2"));
}

TEST(TextWords, SoftHyphensAreNotThereAndSpacesWithoutWidthDivide) {
  EXPECT_THAT(WordsOf("Donau\u00addampf a\u200bb"), ElementsAre("donaudampf", "a", "b"));
}

TEST(TextWords, Chinese) {
  EXPECT_THAT(WordsOf("我喜欢北京大学"), ElementsAre("我", "喜欢", "北京", "大学"));
  EXPECT_THAT(WordsOf("今天，天气很好。"), ElementsAre("今天", "天气", "很好"));
}

TEST(TextWords, Japanese) {
  EXPECT_THAT(WordsOf("東京都に住んでいます").at(0), "東京");
  EXPECT_THAT(WordsOf("日本語とenglishのmix"), ElementsAre("日本語", "と", "english", "の", "mix"));
  EXPECT_THAT(WordsOf("コーヒー、ｺｰﾋｰ"), ElementsAre("コーヒー", "コーヒー"));
  // A dakuten makes another letter.
  EXPECT_THAT(WordsOf("が か\u3099 か"), ElementsAre("が", "が", "か"));
}

TEST(TextWords, Korean) {
  EXPECT_THAT(WordsOf("서울에서 만나요"), ElementsAre("서울에서", "만나요"));
  EXPECT_THAT(WordsOf("한국"), WordsOf("\u1112\u1161\u11ab\u1100\u116e\u11a8"));
}

TEST(TextWords, ThaiLaoAndKhmer) {
  EXPECT_THAT(WordsOf("ภาษาไทยเขียนติดกัน"), ElementsAre("ภาษา", "ไทย", "เขียน", "ติด", "กัน"));
  EXPECT_THAT(WordsOf("ພາສາລາວ"), ElementsAre("ພາສາ", "ລາວ"));
  EXPECT_THAT(WordsOf("ខ្ញុំស្រឡាញ់អ្នក"), ElementsAre("ខ្ញុំ", "ស្រឡាញ់", "អ្នក"));
  // A vowel that compatibility takes in two, after which the dictionary would not know its words any more.
  EXPECT_THAT(WordsOf("เขาทำงานที่น้ำตก"), SizeIs(4));
  EXPECT_EQ(WordsOf("เขาทำงานที่น้ำตก").at(1), WordsOf("ทำงาน").at(0));
  // Its vowels and tones stay.
  EXPECT_NE(WordsOf("น้ำ"), WordsOf("นา"));
}

// ---- what is folded ---------------------------------------------------------

TEST(TextWords, Latin) {
  EXPECT_THAT(WordsOf("ÄRGER a\u0308rger ＸＭＰＰ ﬁn"), ElementsAre("arger", "arger", "xmpp", "fin"));
  EXPECT_THAT(WordsOf("STRASSE Straße STRAẞE"), Each("strasse"));
  EXPECT_THAT(WordsOf("Łódź Ørsted Đakovo Ħamrun Tŧ"),
              ElementsAre("lodz", "orsted", "dakovo", "hamrun", "tt"));
  EXPECT_THAT(WordsOf("việt naïve garçon"), ElementsAre("viet", "naive", "garcon"));
}

TEST(TextWords, TurkishIsFoundInEitherCase) {
  EXPECT_THAT(WordsOf("KADIKÖY kadıköy KADİKÖY kadiköy"), Each("kadikoy"));
  EXPECT_THAT(WordsOf("KADIKÖY kadıköy KADİKÖY kadiköy"), SizeIs(4));
}

TEST(TextWords, GreekAndCyrillic) {
  EXPECT_THAT(WordsOf("ΟΔΥΣΣΕΎΣ Οδυσσεύς"), ElementsAre("οδυσσευσ", "οδυσσευσ"));
  EXPECT_THAT(WordsOf("ᾳ αι"), ElementsAre("αι", "αι"));
  EXPECT_THAT(WordsOf("Ёжик ЕЖИК мой"), ElementsAre("ежик", "ежик", "мои"));
}

TEST(TextWords, ArabicAndHebrew) {
  EXPECT_THAT(WordsOf("كِتَابٌ كتـــاب ﻛﺘﺎﺏ"), Each("كتاب"));
  EXPECT_THAT(WordsOf("أحمد آن إلى"), ElementsAre("احمد", "ان", "الى"));
  // Hamza on other letters is a letter of its own.
  EXPECT_NE(WordsOf("مئة"), WordsOf("مية"));
  EXPECT_THAT(WordsOf("ـ"), IsEmpty());
  EXPECT_THAT(WordsOf("\ufdfa"), ElementsAre("صلى", "الله", "عليه", "وسلم"));
  EXPECT_THAT(WordsOf("שָׁלוֹם שלום"), Each("שלום"));
  EXPECT_EQ(WordsOf("צה״ל"), WordsOf("צה\"ל"));
}

TEST(TextWords, MarksOfIndicScriptsStay) {
  EXPECT_THAT(WordsOf("कि की हिन्दी"), ElementsAre("कि", "की", "हिन्दी"));
  EXPECT_NE(WordsOf("தமிழ்"), WordsOf("தமழ"));
}

TEST(TextWords, Emoji) {
  EXPECT_THAT(WordsOf("ok👍👍"), ElementsAre("ok", "👍", "👍"));
  // Colours and variants do not matter.
  EXPECT_THAT(WordsOf("👍🏽 👍"), ElementsAre("👍", "👍"));
  EXPECT_THAT(WordsOf("❤\ufe0f ❤"), ElementsAre("❤", "❤"));
  EXPECT_THAT(WordsOf("1\ufe0f\u20e3"), ElementsAre("1"));
  // What is shown as one is one.
  EXPECT_THAT(WordsOf("👨\u200d👩\u200d👧 👨👩"), ElementsAre("👨👩👧", "👨", "👩"));
  EXPECT_THAT(WordsOf("🇩🇪🇫🇷"), ElementsAre("🇩🇪", "🇫🇷"));
  EXPECT_THAT(WordsOf("🏽 a 🏽"), ElementsAre("🏽", "a", "🏽"));
  EXPECT_THAT(WordsOf("© ® ™ → #\ufe0f\u20e3"), ElementsAre("tm"));
}

// ---- limits and hostile texts -----------------------------------------------

TEST(TextWords, NotUtf8) {
  EXPECT_THAT(WordsOf("a\xff"
                      "b \xc3 \xed\xa0\x80 \xf4\x90\x80\x80 c"),
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(WordsOf(std::string_view("a\0b", 3)), ElementsAre("a", "b"));
  EXPECT_THAT(WordsOf(Repeat("\xff", 100'000)), IsEmpty());
}

TEST(TextWords, ManyMarks) {
  EXPECT_THAT(WordsOf("a" + Repeat("\u0301", 100'000)), ElementsAre("a"));
  EXPECT_THAT(WordsOf(Repeat("\u0301\u0323", 50'000)), IsEmpty());
  // On a letter whose marks stay, 30 do.
  EXPECT_EQ(WordsOf("か" + Repeat("\u0301", 1'000)), WordsOf("か" + Repeat("\u0301", 30)));
  EXPECT_NE(WordsOf("か" + Repeat("\u0301", 1'000)), WordsOf("か" + Repeat("\u0301", 29)));
}

TEST(TextWords, LimitOfText) {
  EXPECT_THAT(WordsInText("abc déf", {.text_bytes = 6, .words = 9, .word_bytes = 9}),
              ElementsAre("abc", "d"));
  EXPECT_THAT(WordsInText("abc déf", {.text_bytes = 7, .words = 9, .word_bytes = 9}),
              ElementsAre("abc", "de"));
  EXPECT_THAT(WordsInText("abc", {.text_bytes = 0, .words = 9, .word_bytes = 9}), IsEmpty());
}

TEST(TextWords, LimitOfWords) {
  EXPECT_THAT(WordsInText("a b c d", {.text_bytes = 99, .words = 3, .word_bytes = 9}),
              ElementsAre("a", "b", "c"));
  // Also between words that one character makes.
  EXPECT_THAT(WordsInText("a \ufdfa", {.text_bytes = 99, .words = 3, .word_bytes = 99}),
              ElementsAre("a", "صلى", "الله"));
  EXPECT_THAT(WordsInText("a", {.text_bytes = 99, .words = 0, .word_bytes = 9}), IsEmpty());
}

TEST(TextWords, LongWordsAreCutBetweenCharacters) {
  EXPECT_THAT(WordsInText("abcdef жжж", {.text_bytes = 99, .words = 9, .word_bytes = 5}),
              ElementsAre("abcde", "жж"));
}

}  // namespace
}  // namespace rookery::xmpp
