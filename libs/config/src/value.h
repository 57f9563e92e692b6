#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rookery::config {

// How scalars are written. nullopt: not of this type.
std::optional<bool> ParseBool(std::string_view text);
std::optional<std::int64_t> ParseInt(std::string_view text);
/// A whole number and its unit: ms, s, m or h.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);
/// In the largest unit that shows it exactly.
std::string FormatDuration(std::chrono::milliseconds duration);

/// `ROOKERY_<SERVICE>__` of "session-manager".
std::string EnvironmentPrefix(std::string_view service);
/// The rest of the name for a path: `redis.tls-ca` gives `REDIS__TLS_CA`.
std::string EnvironmentSuffix(std::string_view path);

}  // namespace rookery::config
