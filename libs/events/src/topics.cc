#include "rookery/events/topics.h"

#include "rookery/base/check.h"
#include "rookery/events/partition.h"

namespace rookery::events {

std::string_view Name(Topic topic) {
  switch (topic) {
    case Topic::kUsers:
      return "users";
    case Topic::kRooms:
      return "rooms";
    case Topic::kMessages:
      return "messages";
    case Topic::kPresence:
      return "presence";
  }
  return {};
}

v1::Topic ToProto(Topic topic) {
  switch (topic) {
    case Topic::kUsers:
      return v1::TOPIC_USERS;
    case Topic::kRooms:
      return v1::TOPIC_ROOMS;
    case Topic::kMessages:
      return v1::TOPIC_MESSAGES;
    case Topic::kPresence:
      return v1::TOPIC_PRESENCE;
  }
  return v1::TOPIC_UNSPECIFIED;
}

Topology::Topology(std::array<std::uint32_t, kTopics> partitions) : partitions_(partitions) {
  for (const std::uint32_t count : partitions_) ROOKERY_CHECK(count > 0);
}

std::uint32_t Topology::PartitionOf(Topic topic, std::string_view key) const {
  return events::PartitionOf(key, partitions(topic));
}

}  // namespace rookery::events
