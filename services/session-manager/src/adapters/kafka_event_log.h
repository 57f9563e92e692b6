#pragma once

#include <array>
#include <memory>
#include <string>

#include "ports/event_log.h"
#include "rookery/kafka/producer.h"

namespace rookery::session_manager {

class KafkaEventLog final : public EventLog {
 public:
  /// `users` is what people wait for; `events` carries `messages` and `presence`, which gather
  /// longer, since a broker's cost is by request. Partition counts of the three topics.
  KafkaEventLog(std::unique_ptr<kafka::Producer> users, std::unique_ptr<kafka::Producer> events,
                std::array<std::uint32_t, 3> partitions);

  void Append(Topic topic, std::uint32_t partition, std::string_view key,
              const google::protobuf::MessageLite& record, Appended appended) override;
  std::uint32_t partitions(Topic topic) const override {
    return partitions_[static_cast<std::size_t>(topic)];
  }
  kafka::Producer& users() { return *users_; }
  kafka::Producer& events() { return *events_; }

 private:
  std::unique_ptr<kafka::Producer> users_;
  std::unique_ptr<kafka::Producer> events_;
  std::array<std::uint32_t, 3> partitions_;
  std::string buffer_;
};

}  // namespace rookery::session_manager
