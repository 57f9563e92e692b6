#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "rookery/telemetry/log.h"

namespace rookery::telemetry {

/// Appends `text` as a JSON string with its quotes. What is not UTF-8 becomes U+FFFD;
/// what is beyond `limit` bytes is cut off and shown as an ellipsis.
void AppendJsonText(std::string* out, std::string_view text, std::size_t limit);

/// One line of JSON without its line feed.
std::string FormatLine(std::int64_t unix_millis, Level level, std::string_view service,
                       std::string_view instance, std::string_view event,
                       std::initializer_list<Field> fields);

}  // namespace rookery::telemetry
