#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace rookery {

/// For hash maps whose keys are strings and are looked up by views.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace rookery
