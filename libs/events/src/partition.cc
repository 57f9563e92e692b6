#include "rookery/events/partition.h"

#include <cstddef>

#include "rookery/base/check.h"

namespace rookery::events {

// MurmurHash2, 32 bits, with the seed of Kafka's Java client
// (org.apache.kafka.common.utils.Utils.murmur2 names it 0x9747b28c).
std::uint32_t Murmur2(std::string_view key) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMix = 0x5bd1e995;
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(key[i]));
  };
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(key.size());
  std::size_t i = 0;
  for (; i + 4 <= key.size(); i += 4) {
    std::uint32_t word = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    word *= kMix;
    word ^= word >> 24;
    word *= kMix;
    hash *= kMix;
    hash ^= word;
  }
  if (i < key.size()) {
    for (std::size_t j = key.size(); j-- > i;) hash ^= byte(j) << (8 * (j - i));
    hash *= kMix;
  }
  hash ^= hash >> 13;
  hash *= kMix;
  hash ^= hash >> 15;
  return hash;
}

std::uint32_t PartitionOf(std::string_view key, std::uint32_t count) {
  ROOKERY_CHECK(count > 0);
  // Kafka clears the sign bit instead of taking the absolute value.
  return (Murmur2(key) & 0x7fffffffU) % count;
}

}  // namespace rookery::events
