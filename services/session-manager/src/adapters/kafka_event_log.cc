#include "adapters/kafka_event_log.h"

#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {
constexpr std::array<std::string_view, 3> kNames{"users", "messages", "presence"};
}

KafkaEventLog::KafkaEventLog(std::unique_ptr<kafka::Producer> users, std::unique_ptr<kafka::Producer> events,
                             std::array<std::uint32_t, 3> partitions)
    : users_(std::move(users)), events_(std::move(events)), partitions_(partitions) {}

void KafkaEventLog::Append(Topic topic, std::uint32_t partition, std::string_view key,
                           const google::protobuf::MessageLite& record, Appended appended) {
  buffer_.clear();
  record.AppendToString(&buffer_);
  const std::string_view name = kNames[static_cast<std::size_t>(topic)];
  kafka::Producer& producer = topic == Topic::kUsers ? *users_ : *events_;
  if (!appended) {
    producer.Append(name, static_cast<std::int32_t>(partition), key, buffer_, {});
    return;
  }
  producer.Append(name, static_cast<std::int32_t>(partition), key, buffer_,
                  [appended = std::move(appended)](absl::StatusOr<std::int64_t> offset) {
                    // The producer gives up only on a record that no broker would ever take.
                    if (!offset.ok())
                      telemetry::LogError("record.refused", {{"error", Message(offset.status())}});
                    appended(offset.value_or(-1));
                  });
}

}  // namespace rookery::session_manager
