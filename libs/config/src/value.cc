#include "value.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"

namespace rookery::config {
namespace {

constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> kUnits{
    {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

}  // namespace

std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<std::int64_t> ParseInt(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, millis] : kUnits) {
    if (unit != name) continue;
    if (count > std::numeric_limits<std::int64_t>::max() / millis) return std::nullopt;
    return std::chrono::milliseconds(count * millis);
  }
  return std::nullopt;
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  for (const auto& [name, millis] : kUnits) {
    if (count % millis == 0) return std::to_string(count / millis) + std::string(name);
  }
  return std::to_string(count) + "ms";
}

std::string EnvironmentSuffix(std::string_view path) {
  std::string name;
  for (const char c : path) {
    if (c == '.') {
      name += "__";
    } else if (c == '-') {
      name += '_';
    } else {
      name += absl::ascii_toupper(static_cast<unsigned char>(c));
    }
  }
  return name;
}

std::string EnvironmentPrefix(std::string_view service) {
  return "ROOKERY_" + EnvironmentSuffix(service) + "__";
}

}  // namespace rookery::config
