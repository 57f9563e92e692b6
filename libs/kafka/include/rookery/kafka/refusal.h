#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace rookery::kafka {

/// Where an error carries it.
inline constexpr char kRefusedValueUrl[] = "rookery.kafka/value";

/// `why`, with the value of the record that the log has refused: what RefusedValue finds there.
inline absl::Status Refused(absl::Status why, std::string_view value) {
  why.SetPayload(kRefusedValueUrl, absl::Cord(absl::string_view(value.data(), value.size())));
  return why;
}

}  // namespace rookery::kafka
