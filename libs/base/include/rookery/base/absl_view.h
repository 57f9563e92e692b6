#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace rookery {

/// For Abseil's functions: Debian builds it for C++14, so its string_view is a type of its own.
inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace rookery
