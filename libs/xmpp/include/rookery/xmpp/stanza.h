#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "rookery/common/v1/stanza.pb.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"

namespace rookery::xmpp {

/// The one stanza type.
using Stanza = common::v1::Stanza;

inline bool Has(const Stanza& stanza, common::v1::StanzaTrait trait) {
  return (stanza.traits() & trait) != 0;
}

/// How a stanza is written: on a TCP stream jabber:client is inherited, in a
/// WebSocket message it is declared on the stanza (RFC 7395 section 3.3.3).
enum class Framing { kStream, kWebSocket };

/// Appends the stanza as the client sees it. `to` is used in place of stanza.to()
/// unless empty.
void AppendXml(std::string& out, const Stanza& stanza, Framing framing, std::string_view to = {});
/// How many bytes AppendXml appends.
std::size_t WrittenSize(const Stanza& stanza, Framing framing, std::string_view to = {});

/// A stanza from a parsed element in jabber:client: `message`, `presence` or `iq`. Sets
/// traits and payload_name. `from` and `to` are copied as they are: preparing and
/// stamping is the caller's. INVALID_ARGUMENT: not a stanza.
absl::StatusOr<Stanza> FromElement(const Element& element);

/// Sets payload, and traits from it. For stanzas that services build.
void SetPayload(Stanza& stanza, const Element& child);
void AddPayload(Stanza& stanza, const Element& child);
void ClearPayload(Stanza& stanza);
/// The payload without children named (name, ns); `by`, unless empty, must equal their
/// attribute `by`. Unchanged bytes when there is none.
void RemovePayload(Stanza& stanza, std::string_view name, std::string_view ns, std::string_view by = {});

/// The one child that an IQ request has (RFC 6120 section 8.2.3), or an empty element: there is none, or
/// several.
Element OnlyChild(const Stanza& iq);

/// Appends <forwarded/> (XEP-0297) with the stanza in it; null: with none, for it was taken away.
/// `received_at_ms`: when it was received, as a <delay/>. `to`: as in AppendXml.
void AppendForwarded(std::string& out, const Stanza* stanza, std::optional<std::int64_t> received_at_ms = {},
                     std::string_view to = {});

Stanza MakeMessage(std::string_view type, std::string_view from, std::string_view to);
Stanza MakePresence(std::string_view type, std::string_view from, std::string_view to);
/// The empty result of `request` (addresses swapped).
Stanza MakeResult(const Stanza& request);
Stanza MakeResult(const Stanza& request, const Element& payload);

/// RFC 6120 section 8.3.
enum class ErrorType { kAuth, kCancel, kContinue, kModify, kWait };

enum class ErrorCondition {
  kBadRequest,
  kConflict,
  kFeatureNotImplemented,
  kForbidden,
  kGone,
  kInternalServerError,
  kItemNotFound,
  kJidMalformed,
  kNotAcceptable,
  kNotAllowed,
  kNotAuthorized,
  kPolicyViolation,
  kRecipientUnavailable,
  kRedirect,
  kRegistrationRequired,
  kRemoteServerNotFound,
  kRemoteServerTimeout,
  kResourceConstraint,
  kServiceUnavailable,
  kSubscriptionRequired,
  kUndefinedCondition,
  kUnexpectedRequest,
};

std::string_view Name(ErrorCondition condition);
std::optional<ErrorCondition> ParseErrorCondition(std::string_view name);
/// The type that RFC 6120 section 8.3.3 recommends.
ErrorType DefaultType(ErrorCondition condition);

/// The <error/> of an error stanza. `text` is English; empty: none.
Element MakeErrorElement(ErrorCondition condition, std::string_view text = {},
                         std::optional<ErrorType> type = {});

/// The largest payload that MakeError gives back.
inline constexpr std::size_t kMaxEchoedPayloadBytes = 4096;
/// The error reply to `stanza`: addresses swapped, same kind and id. What was asked stands
/// before the <error/>, since some clients match the answer by it (RFC 6120 section 8.3.1):
/// of a presence or IQ, up to kMaxEchoedPayloadBytes, and no registration, which holds a
/// password. A message's payload is left out: what was stamped on its way is not the sender's.
/// Must not be called for a stanza of type error.
Stanza MakeError(const Stanza& stanza, ErrorCondition condition, std::string_view text = {},
                 std::optional<ErrorType> type = {});
/// As above, with an <error/> that MakeErrorElement has begun and the caller has added to.
Stanza MakeError(const Stanza& stanza, const Element& error);

/// One table between our status codes and stanza errors.
ErrorCondition ConditionOf(const absl::Status& status);

/// Traits of a payload, by looking at its top-level elements.
std::uint32_t TraitsOf(const Element& child);

/// XEP-0082 with milliseconds, UTC.
std::string FormatDateTime(std::int64_t unix_millis);
std::optional<std::int64_t> ParseDateTime(std::string_view text);
/// XEP-0203 element; `from` says who delayed.
Element MakeDelay(std::string_view from, std::int64_t unix_millis);

}  // namespace rookery::xmpp
