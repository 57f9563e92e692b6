#pragma once

#include <array>
#include <memory>
#include <string>

#include "ports/event_log.h"
#include "rookery/kafka/producer.h"

namespace rookery::session_manager {

class KafkaEventLog final : public EventLog {
 public:
  /// Partition counts of `users`, `messages` and `presence`.
  KafkaEventLog(std::unique_ptr<kafka::Producer> producer, std::array<std::uint32_t, 3> partitions);

  void Append(Topic topic, std::uint32_t partition, std::string_view key, const google::protobuf::MessageLite& record,
              Appended appended) override;
  std::uint32_t partitions(Topic topic) const override { return partitions_[static_cast<std::size_t>(topic)]; }
  kafka::Producer& producer() { return *producer_; }

 private:
  std::unique_ptr<kafka::Producer> producer_;
  std::array<std::uint32_t, 3> partitions_;
  std::string buffer_;
};

}  // namespace rookery::session_manager
