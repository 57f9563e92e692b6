#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"

namespace rookery::session_manager {

/// The topics that session-managers write (protos/rookery/events/v1).
enum class Topic { kUsers, kMessages, kPresence };

/// Appends records to the log: in the end every one, in the order given for a
/// partition. I/O thread only.
class EventLog {
 public:
  virtual ~EventLog() = default;
  /// `appended` is called with the offset once the log has the record; may be empty.
  using Appended = std::function<void(std::int64_t offset)>;
  virtual void Append(Topic topic, std::uint32_t partition, std::string_view key,
                      const google::protobuf::MessageLite& record, Appended appended) = 0;
  virtual std::uint32_t partitions(Topic topic) const = 0;
};

}  // namespace rookery::session_manager
