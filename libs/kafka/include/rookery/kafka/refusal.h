#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace rookery::kafka {

/// Where an error carries them.
inline constexpr char kRefusedKeyUrl[] = "rookery.kafka/key";
inline constexpr char kRefusedValueUrl[] = "rookery.kafka/value";

/// `why`, with key and value of the record that the log has refused: what RefusedRecord finds there.
inline absl::Status Refused(absl::Status why, std::string_view key, std::string_view value) {
  why.SetPayload(kRefusedKeyUrl, absl::Cord(absl::string_view(key.data(), key.size())));
  why.SetPayload(kRefusedValueUrl, absl::Cord(absl::string_view(value.data(), value.size())));
  return why;
}

}  // namespace rookery::kafka
