#pragma once

#include <cstdint>
#include <optional>

namespace rookery::events {

// `account_generation` in records and states tells the accounts apart that have had one name; 0: nobody knows
// which, or there is none. Its upper half is the time at which the account was made, in seconds since 1970,
// then come 12 bits that say so and 20 random ones.

/// For an account that is made at `now_ms`. Thread-safe.
std::uint64_t MakeAccountGeneration(std::int64_t now_ms);

/// When the account was made, in ms since 1970, to the second; nullopt: it does not say so. Generations of
/// accounts that are older than this rule were random: one in 4,096 seems to say something.
std::optional<std::int64_t> AccountMadeAtMs(std::uint64_t account_generation);

/// By how much the clocks of a cluster may differ.
inline constexpr std::int64_t kClockSkewMs = 5'000;

}  // namespace rookery::events
