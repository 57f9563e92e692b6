#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace rookery::net {

/// Debian builds Abseil for C++14, so its string_view is a type of its own.
inline absl::string_view Av(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace rookery::net
