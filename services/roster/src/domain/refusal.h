#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace rookery::roster {

// A request that is refused for what is in the store has to be remembered like one that is answered: an
// earlier call with it may still be under way, and must not be made when the caller has been told that it is
// refused. (What is wrong with the request itself, INVALID_ARGUMENT, is wrong in every call.)

/// Begins what is remembered of a refusal: no response does, since no field has the number 0.
inline constexpr char kRefusalMark = '\0';

inline std::string EncodeRefusal(const absl::Status& refusal) {
  std::string text{kRefusalMark, static_cast<char>(refusal.code())};
  absl::StrAppend(&text, refusal.message());
  return text;
}

/// OK: what is remembered is a response.
inline absl::Status DecodeRefusal(absl::string_view remembered) {
  if (remembered.size() < 2 || remembered[0] != kRefusalMark) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(remembered[1]), remembered.substr(2));
}

}  // namespace rookery::roster
