#include <string_view>

#include "rookery/pg/pool.h"

namespace rookery::pg {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

template <typename Number>
std::string ArrayOf(const std::vector<Number>& values) {
  std::string literal = "{";
  for (const Number value : values) {
    if (literal.size() > 1) literal += ',';
    literal += std::to_string(static_cast<std::int64_t>(value));
  }
  literal += '}';
  return literal;
}

}  // namespace

Param Param::TextArray(const std::vector<std::string>& values) {
  std::string literal = "{";
  for (const std::string& value : values) {
    if (literal.size() > 1) literal += ',';
    literal += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') literal += '\\';
      literal += c;
    }
    literal += '"';
  }
  literal += '}';
  return {std::move(literal), false};
}

Param Param::BytesArray(const std::vector<std::string>& values) {
  std::string literal = "{";
  for (const std::string& value : values) {
    if (literal.size() > 1) literal += ',';
    literal += "\"\\\\x";  // an array literal takes the first backslash away
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      literal += kHexDigits[byte >> 4];
      literal += kHexDigits[byte & 15];
    }
    literal += '"';
  }
  literal += '}';
  return {std::move(literal), false};
}

Param Param::IntArray(const std::vector<std::int64_t>& values) { return {ArrayOf(values), false}; }

Param Param::IdArray(const std::vector<std::uint64_t>& values) { return {ArrayOf(values), false}; }

}  // namespace rookery::pg
