#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "rookery/events/v1/origin.pb.h"

namespace rookery::events {

/// The topics of the log (protos/README.md).
enum class Topic : std::uint8_t { kUsers, kRooms, kMessages, kPresence };
inline constexpr std::size_t kTopics = 4;

/// Without the prefix that an operator may have set.
std::string_view Name(Topic topic);
v1::Topic ToProto(Topic topic);

/// How many partitions each topic has, and which of them a key belongs to. Fixed for the life of
/// a cluster.
class Topology {
 public:
  /// By topic, in the order of the enum; each at least 1.
  explicit Topology(std::array<std::uint32_t, kTopics> partitions);

  std::uint32_t partitions(Topic topic) const { return partitions_[static_cast<std::size_t>(topic)]; }
  /// `key`: a bare JID, prepared. As Kafka's own clients hash it.
  std::uint32_t PartitionOf(Topic topic, std::string_view key) const;

 private:
  std::array<std::uint32_t, kTopics> partitions_;
};

}  // namespace rookery::events
