#pragma once

#include <cstdint>
#include <string_view>

namespace rookery {

/// The shard (partition of the topic `users` or `rooms`) of a bare JID: Kafka's
/// murmur2 partitioner, so that any Kafka client computes the same.
std::uint32_t ShardOf(std::string_view bare_jid, std::uint32_t shard_count);

/// Kafka's murmur2 of a key, with its seed.
std::uint32_t Murmur2(std::string_view key);

}  // namespace rookery
