#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "rookery/events/topics.h"

namespace rookery::events {

/// Appends records to the log, in the order given for each partition. I/O thread only.
class Log {
 public:
  virtual ~Log() = default;

  /// Called later on the I/O thread, once, with the record's offset, or with why the log does not
  /// have it. No retry would mend: INVALID_ARGUMENT (larger than max_record_bytes),
  /// NOT_FOUND (no such topic or partition), PERMISSION_DENIED; RefusedRecord gives the record back.
  /// ABORTED: DropInFlight; the log may have the record all the same.
  using OnAppended = std::function<void(const absl::StatusOr<std::int64_t>&)>;
  /// `on_appended` may be empty.
  virtual void Append(Topic topic, std::uint32_t partition, std::string_view key,
                      const google::protobuf::MessageLite& record, OnAppended on_appended) = 0;

  /// More is under way than may be: whoever reads records, or stanzas, that lead to others stops
  /// until this is false.
  virtual bool is_congested() const = 0;
  /// Gives up what the log has not confirmed, since this process may no longer say it.
  virtual void DropInFlight() = 0;
  virtual const Topology& topology() const = 0;
};

/// A record as it was appended, serialised.
struct ReturnedRecord {
  std::string key;
  std::string value;
};
/// The record that an error is about, where the log gives it back.
std::optional<ReturnedRecord> RefusedRecord(const absl::Status& status);

}  // namespace rookery::events
