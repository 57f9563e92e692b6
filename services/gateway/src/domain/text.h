#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace rookery::gateway {

// Debian's absl is built for C++14: its string functions take a string_view of their own.

namespace text_internal {
inline void AppendOne(std::string& out, std::string_view text) { out.append(text); }
inline void AppendOne(std::string& out, const char* text) { out.append(text); }
template <std::integral T>
void AppendOne(std::string& out, T number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}
}  // namespace text_internal

/// Appends texts and decimal numbers, one after the other.
template <typename... Parts>
void Append(std::string& out, const Parts&... parts) {
  (text_internal::AppendOne(out, parts), ...);
}

template <typename... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  Append(out, parts...);
  return out;
}

/// The whole of `text` as a decimal number without sign, white space or overflow.
template <std::unsigned_integral T>
bool ParseNumber(std::string_view text, T* number) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *number);
  return !text.empty() && result.ec == std::errc() && result.ptr == end;
}

}  // namespace rookery::gateway
