#pragma once

#include <cstdint>
#include <string_view>

namespace rookery::events {

/// The partition of a key in a topic with `count` of them, as Kafka's own clients choose it, so that
/// anybody's client finds the same. What an address's key and topic are, Homes knows.
std::uint32_t PartitionOf(std::string_view key, std::uint32_t count);

/// Kafka's murmur2 of a key, with its seed.
std::uint32_t Murmur2(std::string_view key);

}  // namespace rookery::events
