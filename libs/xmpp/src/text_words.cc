#include "rookery/xmpp/text_words.h"

#include <unicode/brkiter.h>
#include <unicode/bytestream.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "rookery/base/check.h"
#include "rookery/xmpp/search_text.h"

namespace rookery::xmpp {
namespace {

constexpr int kMaxMarks = 30;

/// The beginning of UTF-8, not longer than `size`, ended between two characters.
std::string_view BeginningOf(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && U8_IS_TRAIL(static_cast<std::uint8_t>(text[size]))) --size;
  return text.substr(0, size);
}

icu::UnicodeString Utf16Of(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
}

using Normalizer = const icu::Normalizer2*(UErrorCode&);

icu::UnicodeString Normalize(const icu::UnicodeString& text, Normalizer* normalizer) {
  UErrorCode error = U_ZERO_ERROR;
  icu::UnicodeString normalized = normalizer(error)->normalize(text, error);
  ROOKERY_CHECK(U_SUCCESS(error));
  return normalized;
}

icu::UnicodeString WithFewMarks(const icu::UnicodeString& text) {
  icu::UnicodeString kept;
  int marks = 0;
  for (std::int32_t at = 0; at < text.length(); at = text.moveIndex32(at, 1)) {
    const UChar32 character = text.char32At(at);
    const bool is_mark = u_getIntPropertyValue(character, UCHAR_LEAD_CANONICAL_COMBINING_CLASS) != 0;
    marks = is_mark ? marks + 1 : 0;
    if (marks <= kMaxMarks) kept.append(character);
  }
  return kept;
}

/// Not by compatibility yet: that takes Thai and Lao vowels apart, which the dictionaries have whole.
icu::UnicodeString ComposedOf(std::string_view text) {
  return Normalize(WithFewMarks(Utf16Of(text)), icu::Normalizer2::getNFCInstance);
}

/// Letters that have no decomposition to take the stroke, or the missing dot, from.
UChar32 WithoutStroke(UChar32 character) {
  switch (character) {
    case 0x0111:
      return 'd';
    case 0x0127:
      return 'h';
    case 0x0131:
      return 'i';
    case 0x0142:
      return 'l';
    case 0x00f8:
      return 'o';
    case 0x0167:
      return 't';
    default:
      return character;
  }
}

bool IsLeftOutOften(UChar32 mark, UChar32 base) {
  if (u_charType(mark) != U_NON_SPACING_MARK) return false;
  UErrorCode error = U_ZERO_ERROR;
  switch (uscript_getScript(base, &error)) {
    case USCRIPT_LATIN:
    case USCRIPT_GREEK:
    case USCRIPT_CYRILLIC:
    case USCRIPT_HEBREW:
      return true;
    case USCRIPT_ARABIC: {
      constexpr UChar32 kAlef = 0x0627, kHamzaAbove = 0x0654, kHamzaBelow = 0x0655;
      return base == kAlef || (mark != kHamzaAbove && mark != kHamzaBelow);
    }
    default:
      return false;
  }
}

std::string WithoutAccents(std::string folded) {
  const auto is_ascii = [](char c) { return U8_IS_SINGLE(static_cast<std::uint8_t>(c)); };
  if (std::all_of(folded.begin(), folded.end(), is_ascii)) return folded;
  const icu::UnicodeString text = Normalize(Utf16Of(folded), icu::Normalizer2::getNFDInstance);
  constexpr UChar32 kNone = -1, kTatweel = 0x0640;
  icu::UnicodeString kept;
  UChar32 base = kNone;
  for (std::int32_t at = 0; at < text.length(); at = text.moveIndex32(at, 1)) {
    const UChar32 character = text.char32At(at);
    if (character == kTatweel || u_charType(character) == U_ENCLOSING_MARK) continue;
    const bool may_have_skin = base != kNone && u_hasBinaryProperty(base, UCHAR_EMOJI_MODIFIER_BASE);
    if (may_have_skin && u_hasBinaryProperty(character, UCHAR_EMOJI_MODIFIER)) continue;
    if ((U_GET_GC_MASK(character) & U_GC_M_MASK) == 0) {
      base = character;
    } else if (base != kNone && IsLeftOutOften(character, base)) {
      continue;
    }
    kept.append(WithoutStroke(character));
  }
  std::string result;
  Normalize(kept, icu::Normalizer2::getNFCInstance).toUTF8String(result);
  return result;
}

/// Of those in ISO 8859-1, © and ® have the property too.
bool IsEmoji(UChar32 character) {
  return character > 0xff && (u_hasBinaryProperty(character, UCHAR_EXTENDED_PICTOGRAPHIC) ||
                              u_hasBinaryProperty(character, UCHAR_EMOJI_PRESENTATION));
}

class WordList {
 public:
  explicit WordList(const WordLimits& limits) : limits_(limits) {}

  bool is_full() const { return words_.size() >= limits_.words; }
  std::vector<std::string> Take() { return std::move(words_); }

  /// Adds the words of a segment, which are several where it has signs inside it.
  void Add(const std::string& segment) {
    const auto size = static_cast<std::int32_t>(segment.size());
    std::int32_t begin = 0;
    bool is_word = false;
    for (std::int32_t at = 0; at < size;) {
      const std::int32_t from = at;
      UChar32 character = 0;
      U8_NEXT(segment.data(), at, size, character);
      const std::uint32_t category = U_GET_GC_MASK(character);
      const bool makes_word = (category & (U_GC_L_MASK | U_GC_N_MASK)) != 0 || IsEmoji(character);
      if (makes_word || (category & U_GC_M_MASK) != 0) {
        is_word = is_word || makes_word;
        continue;
      }
      if (is_word) AddWord(segment, begin, from);
      begin = at;
      is_word = false;
    }
    if (is_word) AddWord(segment, begin, size);
  }

 private:
  void AddWord(std::string_view segment, std::int32_t begin, std::int32_t end) {
    if (is_full()) return;
    const std::string_view word =
        segment.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    words_.emplace_back(BeginningOf(word, limits_.word_bytes));
  }

  const WordLimits limits_;
  std::vector<std::string> words_;
};

/// What Unicode takes for a word, or for what stands between words. To make a breaker takes longer than to
/// copy one.
std::unique_ptr<icu::BreakIterator> MakeBreaker() {
  static const std::unique_ptr<const icu::BreakIterator> made = [] {
    UErrorCode error = U_ZERO_ERROR;
    std::unique_ptr<const icu::BreakIterator> breaker(
        icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error));
    ROOKERY_CHECK(U_SUCCESS(error));
    return breaker;
  }();
  return std::unique_ptr<icu::BreakIterator>(made->clone());
}

}  // namespace

std::vector<std::string> WordsInText(std::string_view text, const WordLimits& limits) {
  WordList words(limits);
  const icu::UnicodeString composed = ComposedOf(BeginningOf(text, limits.text_bytes));
  const std::unique_ptr<icu::BreakIterator> breaker = MakeBreaker();
  breaker->setText(composed);
  std::int32_t begin = breaker->first();
  for (std::int32_t end = breaker->next(); end != icu::BreakIterator::DONE && !words.is_full();
       end = breaker->next()) {
    std::string segment;
    composed.tempSubStringBetween(begin, end).toUTF8String(segment);
    words.Add(WithoutAccents(FoldForSearch(segment)));
    begin = end;
  }
  return words.Take();
}

}  // namespace rookery::xmpp
