#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace rookery::fuzz {

/// Reads decisions from the end of the input and leaves its beginning as text, so that
/// seeds are readable files.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  std::uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.back());
    rest_.remove_suffix(1);
    return byte;
  }
  std::string_view Rest() const { return rest_; }
  /// Up to the next `separator`, which is left out; what remains when there is none.
  std::string_view Until(char separator) {
    const std::size_t at = std::min(rest_.find(separator), rest_.size());
    const std::string_view part = rest_.substr(0, at);
    rest_.remove_prefix(std::min(at + 1, rest_.size()));
    return part;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// Sizes of the pieces that a network might cut an input into; the same for the same
/// seed.
class Pieces {
 public:
  explicit Pieces(std::uint8_t seed) : state_(seed * 2654435761u + 1), largest_(1u << (seed % 8)) {}
  std::size_t Next(std::size_t left) {
    state_ = state_ * 1664525u + 1013904223u;
    return std::min<std::size_t>(left, 1 + (state_ >> 16) % largest_);
  }

 private:
  std::uint32_t state_;
  std::uint32_t largest_;
};

inline void Require(bool holds, const char* what) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// Require(a == b), with both in the report.
inline void RequireSame(std::string_view a, std::string_view b, const char* what) {
  if (a == b) [[likely]]
    return;
  std::fprintf(stderr, "one:\n%.*s\nother:\n%.*s\n", static_cast<int>(a.size()), a.data(),
               static_cast<int>(b.size()), b.data());
  Require(false, what);
}

}  // namespace rookery::fuzz
