#include "protocols/xmpp/stream_error.h"

namespace rookery::gateway {

std::optional<StreamError> ParseStreamError(std::string_view name) {
  for (std::size_t i = 0; i < kStreamErrorNames.size(); ++i) {
    if (kStreamErrorNames[i] == name) return static_cast<StreamError>(i);
  }
  return std::nullopt;
}

StreamError ToStreamError(xmpp::StreamParseError error) {
  switch (error) {
    case xmpp::StreamParseError::kBadFormat:
      return StreamError::kBadFormat;
    case xmpp::StreamParseError::kNone:
    case xmpp::StreamParseError::kNotWellFormed:
      return StreamError::kNotWellFormed;
    case xmpp::StreamParseError::kRestrictedXml:
      return StreamError::kRestrictedXml;
    case xmpp::StreamParseError::kBadNamespacePrefix:
      return StreamError::kBadNamespacePrefix;
    case xmpp::StreamParseError::kUnsupportedEncoding:
      return StreamError::kUnsupportedEncoding;
    case xmpp::StreamParseError::kPolicyViolation:
      return StreamError::kPolicyViolation;
  }
  return StreamError::kNotWellFormed;
}

}  // namespace rookery::gateway
