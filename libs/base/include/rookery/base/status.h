#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The one error vocabulary: absl::Status. What a code means at a boundary is said
// in the header of the function that returns it.

namespace rookery {

/// The status's text. absl's own string_view is not std's in Debian's build.
inline std::string_view Message(const absl::Status& status) {
  const auto text = status.message();
  return {text.data(), text.size()};
}

/// Whether whoever has failed so now may do the same later: it was away, slow, full, or somebody else came
/// in between.
inline bool IsTemporary(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsAborted(status);
}

}  // namespace rookery

#define ROOKERY_CONCAT_INNER_(a, b) a##b
#define ROOKERY_CONCAT_(a, b) ROOKERY_CONCAT_INNER_(a, b)

/// Returns from the function if `expr` (a Status) is not OK.
#define ROOKERY_RETURN_IF_ERROR(expr)                                \
  do {                                                               \
    if (::absl::Status status_ = (expr); !status_.ok()) [[unlikely]] \
      return status_;                                                \
  } while (false)

#define ROOKERY_ASSIGN_OR_RETURN_INNER_(tmp, lhs, expr) \
  auto tmp = (expr);                                    \
  if (!tmp.ok()) [[unlikely]]                           \
    return std::move(tmp).status();                     \
  lhs = std::move(tmp).value()

/// `ROOKERY_ASSIGN_OR_RETURN(auto x, F());` declares x or returns F's status.
#define ROOKERY_ASSIGN_OR_RETURN(lhs, expr) \
  ROOKERY_ASSIGN_OR_RETURN_INNER_(ROOKERY_CONCAT_(status_or_, __LINE__), lhs, expr)

/// ROOKERY_RETURN_IF_ERROR and ROOKERY_ASSIGN_OR_RETURN for coroutines.
#define ROOKERY_CO_RETURN_IF_ERROR(expr)                             \
  do {                                                               \
    if (::absl::Status status_ = (expr); !status_.ok()) [[unlikely]] \
      co_return status_;                                             \
  } while (false)

#define ROOKERY_CO_ASSIGN_OR_RETURN_INNER_(tmp, lhs, expr) \
  auto tmp = (expr);                                       \
  if (!tmp.ok()) [[unlikely]]                              \
    co_return std::move(tmp).status();                     \
  lhs = std::move(tmp).value()

#define ROOKERY_CO_ASSIGN_OR_RETURN(lhs, expr) \
  ROOKERY_CO_ASSIGN_OR_RETURN_INNER_(ROOKERY_CONCAT_(status_or_, __LINE__), lhs, expr)
