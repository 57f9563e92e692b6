#include "rookery/xmpp/confusables.h"

#include <unicode/uspoof.h>

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
  return skeleton;
}

bool IsOfScriptsWrittenTogether(std::string_view name) {
  UErrorCode error = U_ZERO_ERROR;
  const std::int32_t failed =
      uspoof_check2UTF8(Checker(), name.data(), static_cast<std::int32_t>(name.size()), nullptr, &error);
  return U_SUCCESS(error) && failed == 0;
}

}  // namespace rookery::xmpp
