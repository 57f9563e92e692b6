#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "rookery/xmpp/stream_parser.h"

namespace rookery::gateway {

/// RFC 6120 section 4.9.3: the conditions that a server for clients uses.
enum class StreamError : std::uint8_t {
  kBadFormat,
  kBadNamespacePrefix,
  kConflict,
  kConnectionTimeout,
  kHostGone,
  kHostUnknown,
  kImproperAddressing,
  kInternalServerError,
  kInvalidFrom,
  kInvalidNamespace,
  kInvalidXml,
  kNotAuthorized,
  kNotWellFormed,
  kPolicyViolation,
  kReset,
  kResourceConstraint,
  kRestrictedXml,
  kSystemShutdown,
  kUndefinedCondition,
  kUnsupportedEncoding,
  kUnsupportedFeature,
  kUnsupportedStanzaType,
  kUnsupportedVersion,
};
inline constexpr std::array<std::string_view, 23> kStreamErrorNames = {"bad-format",
                                                                       "bad-namespace-prefix",
                                                                       "conflict",
                                                                       "connection-timeout",
                                                                       "host-gone",
                                                                       "host-unknown",
                                                                       "improper-addressing",
                                                                       "internal-server-error",
                                                                       "invalid-from",
                                                                       "invalid-namespace",
                                                                       "invalid-xml",
                                                                       "not-authorized",
                                                                       "not-well-formed",
                                                                       "policy-violation",
                                                                       "reset",
                                                                       "resource-constraint",
                                                                       "restricted-xml",
                                                                       "system-shutdown",
                                                                       "undefined-condition",
                                                                       "unsupported-encoding",
                                                                       "unsupported-feature",
                                                                       "unsupported-stanza-type",
                                                                       "unsupported-version"};

inline std::string_view Name(StreamError error) { return kStreamErrorNames[static_cast<std::size_t>(error)]; }
std::optional<StreamError> ParseStreamError(std::string_view name);
StreamError ToStreamError(xmpp::StreamParseError error);

}  // namespace rookery::gateway
