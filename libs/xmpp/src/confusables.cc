#include "rookery/xmpp/confusables.h"

#include <unicode/uchar.h>
#include <unicode/uspoof.h>
#include <unicode/utf8.h>

#include <cstdint>
#include <memory>

#include "rookery/base/check.h"

namespace rookery::xmpp {
namespace {

struct Close {
  void operator()(USpoofChecker* checker) const { uspoof_close(checker); }
};

/// Checking changes nothing in it: threads share it.
const USpoofChecker* Checker() {
  static const std::unique_ptr<USpoofChecker, Close> checker = [] {
    UErrorCode error = U_ZERO_ERROR;
    std::unique_ptr<USpoofChecker, Close> made(uspoof_open(&error));
    uspoof_setChecks(made.get(), USPOOF_RESTRICTION_LEVEL | USPOOF_MIXED_NUMBERS, &error);
    uspoof_setRestrictionLevel(made.get(), USPOOF_HIGHLY_RESTRICTIVE);
    ROOKERY_CHECK(U_SUCCESS(error));
    return made;
  }();
  return checker.get();
}

/// Takes the marks from decomposed text: a dot above an i, which has one, or an accent more or less is seen
/// by nobody who looks for a name that he knows.
std::string WithoutMarks(const std::string& text) {
  std::string bases;
  const auto size = static_cast<std::int32_t>(text.size());
  for (std::int32_t at = 0; at < size;) {
    const std::int32_t from = at;
    UChar32 character = 0;
    U8_NEXT(text.data(), at, size, character);
    if (character < 0 || u_charType(character) != U_NON_SPACING_MARK)
      bases.append(text, static_cast<std::size_t>(from), static_cast<std::size_t>(at - from));
  }
  return bases;
}

}  // namespace

std::string SkeletonOf(std::string_view name) {
  // A character is confused with a few at most.
  std::string skeleton(16 * name.size() + 64, '\0');
  UErrorCode error = U_ZERO_ERROR;
  const std::int32_t size =
      uspoof_getSkeletonUTF8(Checker(), 0, name.data(), static_cast<std::int32_t>(name.size()),
                             skeleton.data(), static_cast<std::int32_t>(skeleton.size()), &error);
  if (U_FAILURE(error)) return std::string(name);
  skeleton.resize(static_cast<std::size_t>(size));
  return WithoutMarks(skeleton);
}

bool IsOfScriptsWrittenTogether(std::string_view name) {
  UErrorCode error = U_ZERO_ERROR;
  const std::int32_t failed =
      uspoof_check2UTF8(Checker(), name.data(), static_cast<std::int32_t>(name.size()), nullptr, &error);
  return U_SUCCESS(error) && failed == 0;
}

}  // namespace rookery::xmpp
