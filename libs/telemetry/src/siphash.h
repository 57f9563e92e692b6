#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace rookery::telemetry {

/// SipHash-2-4 of `text` under a key of 128 bits, low half first.
std::uint64_t SipHash(const std::array<std::uint64_t, 2>& key, std::string_view text);

}  // namespace rookery::telemetry
