#pragma once

#include <cstddef>
#include <string_view>

namespace rookery::fuzz {

/// One line of an input: decisions, a character each, so that seeds can be written by hand. A digit is its
/// value, then come small and capital letters; any other byte counts as itself. What is missing is 0.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  /// The next decision, below `n`.
  std::size_t Next(std::size_t n) { return ValueOf(NextChar()) % n; }
  char NextChar() {
    if (rest_.empty()) return '0';
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  std::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  static std::size_t ValueOf(char c) {
    if (c >= '0' && c <= '9') return static_cast<std::size_t>(c - '0');
    if (c >= 'a' && c <= 'z') return static_cast<std::size_t>(c - 'a') + 10;
    if (c >= 'A' && c <= 'Z') return static_cast<std::size_t>(c - 'A') + 36;
    return static_cast<unsigned char>(c);
  }

  std::string_view rest_;
};

}  // namespace rookery::fuzz
