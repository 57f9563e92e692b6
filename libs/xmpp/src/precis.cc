#include "precis.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/utf16.h>

#include <cstdint>
#include <cstdio>
#include <optional>

namespace rookery::xmpp::precis {
namespace {

enum class Property { kValid, kFreeFormOnly, kContextJ, kContextO, kDisallowed, kUnassigned };

// RFC 5892 section 2.6, which RFC 8264 section 9.6 takes over.
std::optional<Property> ExceptionOf(char32_t c) {
  switch (c) {
    case 0x00DF:
    case 0x03C2:
    case 0x06FD:
    case 0x06FE:
    case 0x0F0B:
    case 0x3007:
      return Property::kValid;
    case 0x00B7:
    case 0x0375:
    case 0x05F3:
    case 0x05F4:
    case 0x30FB:
      return Property::kContextO;
    case 0x0640:
    case 0x07FA:
    case 0x302E:
    case 0x302F:
    case 0x3031:
    case 0x3032:
    case 0x3033:
    case 0x3034:
    case 0x3035:
    case 0x303B:
      return Property::kDisallowed;
    default:
      if ((c >= 0x0660 && c <= 0x0669) || (c >= 0x06F0 && c <= 0x06F9)) return Property::kContextO;
      return std::nullopt;
  }
}

// RFC 8264 section 8, in its order.
Property PropertyOf(char32_t code_point) {
  if (auto exception = ExceptionOf(code_point)) return *exception;
  const auto c = static_cast<UChar32>(code_point);
  const bool noncharacter = u_hasBinaryProperty(c, UCHAR_NONCHARACTER_CODE_POINT);
  const int category = u_charType(c);
  if (category == U_UNASSIGNED && !noncharacter) return Property::kUnassigned;
  if (c >= 0x21 && c <= 0x7E) return Property::kValid;
  if (u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL)) return Property::kContextJ;
  switch (u_getIntPropertyValue(c, UCHAR_HANGUL_SYLLABLE_TYPE)) {
    case U_HST_LEADING_JAMO:
    case U_HST_VOWEL_JAMO:
    case U_HST_TRAILING_JAMO:
      return Property::kDisallowed;
    default:
      break;
  }
  if (noncharacter || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT))
    return Property::kDisallowed;
  if (category == U_CONTROL_CHAR) return Property::kDisallowed;
  // HasCompat: a code point alone changes under NFKC exactly when its quick check
  // says that it cannot occur in NFKC.
  if (u_getIntPropertyValue(c, UCHAR_NFKC_QUICK_CHECK) == UNORM_NO) return Property::kFreeFormOnly;
  switch (category) {
    case U_UPPERCASE_LETTER:
    case U_LOWERCASE_LETTER:
    case U_OTHER_LETTER:
    case U_MODIFIER_LETTER:
    case U_DECIMAL_DIGIT_NUMBER:
    case U_NON_SPACING_MARK:
    case U_COMBINING_SPACING_MARK:
      return Property::kValid;
    case U_TITLECASE_LETTER:
    case U_LETTER_NUMBER:
    case U_OTHER_NUMBER:
    case U_ENCLOSING_MARK:
    case U_SPACE_SEPARATOR:
    case U_MATH_SYMBOL:
    case U_CURRENCY_SYMBOL:
    case U_MODIFIER_SYMBOL:
    case U_OTHER_SYMBOL:
    case U_CONNECTOR_PUNCTUATION:
    case U_DASH_PUNCTUATION:
    case U_START_PUNCTUATION:
    case U_END_PUNCTUATION:
    case U_INITIAL_PUNCTUATION:
    case U_FINAL_PUNCTUATION:
    case U_OTHER_PUNCTUATION:
      return Property::kFreeFormOnly;
    default:
      return Property::kDisallowed;
  }
}

constexpr int kViramaClass = 9;

int JoiningType(char32_t c) { return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_JOINING_TYPE); }

bool HasScript(char32_t c, UScriptCode script) {
  UErrorCode error = U_ZERO_ERROR;
  return uscript_getScript(static_cast<UChar32>(c), &error) == script && U_SUCCESS(error);
}

bool FollowsVirama(std::u32string_view text, std::size_t at) {
  return at > 0 && u_getCombiningClass(static_cast<UChar32>(text[at - 1])) == kViramaClass;
}

// RFC 5892 appendix A.1: between two letters that join across it.
bool IsBetweenJoiningLetters(std::u32string_view text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && JoiningType(text[before - 1]) == U_JT_TRANSPARENT) --before;
  if (before == 0) return false;
  const int left = JoiningType(text[before - 1]);
  if (left != U_JT_LEFT_JOINING && left != U_JT_DUAL_JOINING) return false;
  std::size_t after = at + 1;
  while (after < text.size() && JoiningType(text[after]) == U_JT_TRANSPARENT) ++after;
  if (after == text.size()) return false;
  const int right = JoiningType(text[after]);
  return right == U_JT_RIGHT_JOINING || right == U_JT_DUAL_JOINING;
}

bool ContextAllows(std::u32string_view text, std::size_t at) {
  const char32_t c = text[at];
  switch (c) {
    case 0x200C:  // A.1 ZERO WIDTH NON-JOINER
      return FollowsVirama(text, at) || IsBetweenJoiningLetters(text, at);
    case 0x200D:  // A.2 ZERO WIDTH JOINER
      return FollowsVirama(text, at);
    case 0x00B7:  // A.3 MIDDLE DOT, in Catalan's ela geminada
      return at > 0 && at + 1 < text.size() && text[at - 1] == U'l' && text[at + 1] == U'l';
    case 0x0375:  // A.4 GREEK LOWER NUMERAL SIGN
      return at + 1 < text.size() && HasScript(text[at + 1], USCRIPT_GREEK);
    case 0x05F3:  // A.5 HEBREW PUNCTUATION GERESH
    case 0x05F4:  // A.6 HEBREW PUNCTUATION GERSHAYIM
      return at > 0 && HasScript(text[at - 1], USCRIPT_HEBREW);
    case 0x30FB:  // A.7 KATAKANA MIDDLE DOT
      for (char32_t other : text) {
        if (HasScript(other, USCRIPT_HIRAGANA) || HasScript(other, USCRIPT_KATAKANA) ||
            HasScript(other, USCRIPT_HAN)) {
          return true;
        }
      }
      return false;
    default: {  // A.8, A.9: the two sets of Arabic-Indic digits do not mix
      const bool arabic_indic = c <= 0x0669;
      for (char32_t other : text) {
        if (arabic_indic ? (other >= 0x06F0 && other <= 0x06F9) : (other >= 0x0660 && other <= 0x0669)) {
          return false;
        }
      }
      return true;
    }
  }
}

absl::Status Forbidden(char32_t c, const char* why) {
  char text[64];
  std::snprintf(text, sizeof text, "U+%04X is %s", static_cast<unsigned>(c), why);
  return absl::InvalidArgumentError(text);
}

}  // namespace

bool Decode(std::string_view text, std::u32string& out) {
  out.clear();
  out.reserve(text.size());
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned lead = *p;
    if (lead < 0x80) {
      out.push_back(lead);
      ++p;
      continue;
    }
    const int tail = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || end - p <= tail) return false;
    char32_t c = lead & (0x3Fu >> tail);
    for (int i = 1; i <= tail; ++i) {
      if ((p[i] & 0xC0) != 0x80) return false;
      c = (c << 6) | (p[i] & 0x3F);
    }
    if ((tail == 2 && c < 0x800) || (tail == 3 && (c < 0x10000 || c > 0x10FFFF)) ||
        (c >= 0xD800 && c <= 0xDFFF)) {
      return false;
    }
    out.push_back(c);
    p += tail + 1;
  }
  return true;
}

void Encode(std::u32string_view text, std::string& out) {
  out.clear();
  out.reserve(text.size() * 2);
  for (char32_t c : text) {
    if (c < 0x80) {
      out.push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      out.push_back(static_cast<char>(0xC0 | (c >> 6)));
      out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
      out.push_back(static_cast<char>(0xE0 | (c >> 12)));
      out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
      out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    } else {
      out.push_back(static_cast<char>(0xF0 | (c >> 18)));
      out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
      out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
      out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
  }
}

absl::Status CheckClass(std::u32string_view text, StringClass string_class) {
  // The rules for KATAKANA MIDDLE DOT and the digits look at the whole string: one
  // answer for each is enough, which keeps this linear.
  bool middle_dot_allowed = false;
  bool arabic_indic_allowed = false;
  bool extended_arabic_indic_allowed = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c >= 0x21 && c <= 0x7E) continue;
    switch (PropertyOf(c)) {
      case Property::kValid:
        break;
      case Property::kFreeFormOnly:
        if (string_class != StringClass::kFreeForm) return Forbidden(c, "not an identifier's");
        break;
      case Property::kContextJ:
        if (!ContextAllows(text, i)) return Forbidden(c, "out of context");
        break;
      case Property::kContextO: {
        bool* known = c == 0x30FB                  ? &middle_dot_allowed
                      : c >= 0x0660 && c <= 0x0669 ? &arabic_indic_allowed
                      : c >= 0x06F0 && c <= 0x06F9 ? &extended_arabic_indic_allowed
                                                   : nullptr;
        if (known != nullptr && *known) break;
        if (!ContextAllows(text, i)) return Forbidden(c, "out of context");
        if (known != nullptr) *known = true;
        break;
      }
      case Property::kDisallowed:
        return Forbidden(c, "disallowed");
      case Property::kUnassigned:
        return Forbidden(c, "unassigned");
    }
  }
  return absl::OkStatus();
}

void MapWidth(std::u32string& text) {
  for (char32_t& c : text) {
    // Every such decomposition is one code point (Unicode Standard Annex 11).
    if (c < 0x3000) continue;
    const int type = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_DECOMPOSITION_TYPE);
    if (type != U_DT_WIDE && type != U_DT_NARROW) continue;
    UErrorCode error = U_ZERO_ERROR;
    const UNormalizer2* nfkc = unorm2_getNFKCInstance(&error);
    UChar mapped[4];
    const std::int32_t size = unorm2_getRawDecomposition(nfkc, static_cast<UChar32>(c), mapped, 4, &error);
    if (U_SUCCESS(error) && size == 1) c = mapped[0];
  }
}

namespace {

template <typename Keep>
void LowerUnless(std::u32string& text, Keep keep) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == 0x0130) {  // the one unconditional full mapping
      text.replace(i, 1, U"i\u0307");
      ++i;
    } else if (const auto c = static_cast<UChar32>(text[i]); !keep(c)) {
      text[i] = static_cast<char32_t>(u_tolower(c));
    }
  }
}

}  // namespace

void MapLowerCase(std::u32string& text) {
  LowerUnless(text, [](UChar32) { return false; });
}

void MapLabelCase(std::u32string& text) {
  // Case folding, on which IDNA2008 stands, takes Cherokee to its capitals.
  LowerUnless(text, [](UChar32 c) { return u_foldCase(c, U_FOLD_CASE_DEFAULT) == c; });
}

void MapSpaces(std::u32string& text) {
  for (char32_t& c : text) {
    if (c >= 0x80 && u_charType(static_cast<UChar32>(c)) == U_SPACE_SEPARATOR) c = U' ';
  }
}

absl::Status NormalizeNfc(std::u32string& text) {
  std::u16string units;
  units.reserve(text.size() + 8);
  for (char32_t c : text) {
    if (c < 0x10000) {
      units.push_back(static_cast<char16_t>(c));
    } else {
      units.push_back(U16_LEAD(c));
      units.push_back(U16_TRAIL(c));
    }
  }
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* nfc = unorm2_getNFCInstance(&error);
  if (U_FAILURE(error)) return absl::InternalError("ICU has no NFC data");
  const auto size = static_cast<std::int32_t>(units.size());
  if (unorm2_quickCheck(nfc, units.data(), size, &error) == UNORM_YES) return absl::OkStatus();
  std::u16string normalized(units.size() * 3 + 16, u'\0');  // NFC grows by 3 at most
  const std::int32_t length = unorm2_normalize(nfc, units.data(), size, normalized.data(),
                                               static_cast<std::int32_t>(normalized.size()), &error);
  if (U_FAILURE(error)) return absl::InternalError("ICU cannot normalize");
  text.clear();
  for (std::int32_t i = 0; i < length;) {
    UChar32 c;
    U16_NEXT(normalized.data(), i, length, c);
    text.push_back(static_cast<char32_t>(c));
  }
  return absl::OkStatus();
}

bool HasRightToLeft(std::u32string_view text) {
  for (char32_t c : text) {
    if (c < 0x0590) continue;
    switch (u_charDirection(static_cast<UChar32>(c))) {
      case U_RIGHT_TO_LEFT:
      case U_RIGHT_TO_LEFT_ARABIC:
      case U_ARABIC_NUMBER:
        return true;
      default:
        break;
    }
  }
  return false;
}

bool SatisfiesBidiRule(std::u32string_view text) {
  if (text.empty()) return false;
  auto direction = [&](std::size_t i) { return u_charDirection(static_cast<UChar32>(text[i])); };
  const UCharDirection first = direction(0);
  const bool rtl = first == U_RIGHT_TO_LEFT || first == U_RIGHT_TO_LEFT_ARABIC;
  if (!rtl && first != U_LEFT_TO_RIGHT) return false;  // condition 1
  bool european = false;
  bool arabic = false;
  bool ends_well = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (direction(i)) {  // conditions 2 and 5 by what is left out
      case U_RIGHT_TO_LEFT:
      case U_RIGHT_TO_LEFT_ARABIC:
        if (!rtl) return false;
        ends_well = true;
        break;
      case U_ARABIC_NUMBER:
        if (!rtl) return false;
        arabic = ends_well = true;
        break;
      case U_LEFT_TO_RIGHT:
        if (rtl) return false;
        ends_well = true;
        break;
      case U_EUROPEAN_NUMBER:
        european = ends_well = true;
        break;
      case U_EUROPEAN_NUMBER_SEPARATOR:
      case U_COMMON_NUMBER_SEPARATOR:
      case U_EUROPEAN_NUMBER_TERMINATOR:
      case U_OTHER_NEUTRAL:
      case U_BOUNDARY_NEUTRAL:
        ends_well = false;
        break;
      case U_DIR_NON_SPACING_MARK:  // does not count at the end
        break;
      default:
        return false;
    }
  }
  if (rtl && european && arabic) return false;  // condition 4
  return ends_well;                             // conditions 3 and 6
}

}  // namespace rookery::xmpp::precis
