#include "rookery/xmpp/stanza.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <utility>

#include "escape.h"
#include "rookery/base/check.h"
#include "rookery/xmpp/ns.h"
#include "traits.h"

namespace rookery::xmpp {
namespace {

using common::v1::StanzaKind;

std::string_view KindName(StanzaKind kind) {
  switch (kind) {
    case common::v1::STANZA_KIND_MESSAGE:
      return "message";
    case common::v1::STANZA_KIND_PRESENCE:
      return "presence";
    case common::v1::STANZA_KIND_IQ:
      return "iq";
    default:
      return {};
  }
}

StanzaKind KindOf(std::string_view name) {
  if (name == "message") return common::v1::STANZA_KIND_MESSAGE;
  if (name == "presence") return common::v1::STANZA_KIND_PRESENCE;
  if (name == "iq") return common::v1::STANZA_KIND_IQ;
  return common::v1::STANZA_KIND_UNSPECIFIED;
}

bool IsRequest(const Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set");
}

// The text before an attribute's value.
constexpr std::string_view kFrom = " from=\"";
constexpr std::string_view kTo = " to=\"";
constexpr std::string_view kId = " id=\"";
constexpr std::string_view kType = " type=\"";
constexpr std::string_view kLang = " xml:lang=\"";
constexpr std::string_view kDeclaration = " xmlns=\"jabber:client\"";

inline void AppendAttribute(std::string& out, std::string_view opening, std::string_view value) {
  if (value.empty()) return;
  out.append(opening);
  AppendEscaped(out, value);
  out.push_back('"');
}

inline std::size_t AttributeSize(std::string_view opening, std::string_view value) {
  return value.empty() ? 0 : opening.size() + EscapedSize(value) + 1;
}

// A child of a stanza, found in canonical bytes.
struct Child {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string_view open_tag;  // between < and > or />
  std::string name;
  std::string ns;
  bool has_text = false;
  bool has_invite = false;
};

// The value of an attribute in an open tag of canonical XML, references resolved.
std::optional<std::string> AttributeOf(std::string_view open_tag, std::string_view name) {
  std::size_t at = 0;
  while ((at = open_tag.find(' ', at)) != std::string_view::npos) {
    ++at;
    const std::size_t equals = open_tag.find("=\"", at);
    if (equals == std::string_view::npos) return std::nullopt;
    const std::size_t close = open_tag.find('"', equals + 2);
    if (close == std::string_view::npos) return std::nullopt;
    if (open_tag.substr(at, equals - at) == name) {
      const std::string_view value = open_tag.substr(equals + 2, close - equals - 2);
      if (value.find('&') == std::string_view::npos) return std::string(value);
      constexpr std::array<std::pair<std::string_view, char>, 8> kReferences = {{{"&amp;", '&'},
                                                                                 {"&lt;", '<'},
                                                                                 {"&gt;", '>'},
                                                                                 {"&quot;", '"'},
                                                                                 {"&apos;", '\''},
                                                                                 {"&#9;", '\t'},
                                                                                 {"&#10;", '\n'},
                                                                                 {"&#13;", '\r'}}};
      std::string plain;
      for (std::size_t i = 0; i < value.size(); ++i) {
        plain.push_back(value[i]);
        if (value[i] != '&') continue;
        for (const auto& [reference, c] : kReferences) {
          if (value.compare(i, reference.size(), reference) != 0) continue;
          plain.back() = c;
          i += reference.size() - 1;
          break;
        }
      }
      return plain;
    }
    at = close + 1;
  }
  return std::nullopt;
}

std::string_view NameOf(std::string_view open_tag) { return open_tag.substr(0, open_tag.find(' ')); }

// Walks the children in canonical bytes, where < and > stand for tags only. False
// when the bytes are not balanced.
template <typename Visit>
bool ForEachChild(std::string_view payload, Visit visit) {
  std::size_t depth = 0;
  Child child;
  std::size_t at = 0;
  while ((at = payload.find('<', at)) != std::string_view::npos) {
    const std::size_t close = payload.find('>', at);
    if (close == std::string_view::npos || close == at + 1) return false;
    if (payload[at + 1] == '/') {
      if (depth == 0) return false;
      if (--depth == 0) {
        child.end = close + 1;
        visit(child);
      }
    } else {
      const bool empty = payload[close - 1] == '/';
      const std::string_view tag = payload.substr(at + 1, close - at - 1 - (empty ? 1 : 0));
      if (depth == 0) {
        child = Child();
        child.begin = at;
        child.open_tag = tag;
        child.name = NameOf(tag);
        child.ns = AttributeOf(tag, "xmlns").value_or(std::string(ns::kClient));
        child.has_text = !empty && close + 1 < payload.size() && payload[close + 1] != '<';
        if (empty) {
          child.end = close + 1;
          visit(child);
        }
      } else if (depth == 1 && NameOf(tag) == "invite" &&
                 IsMediatedInvite("invite", AttributeOf(tag, "xmlns").value_or(child.ns))) {
        child.has_invite = true;
      }
      if (!empty) ++depth;
    }
    at = close + 1;
  }
  return depth == 0;
}

std::uint32_t TraitsOf(const Child& child) {
  std::uint32_t traits = TraitsOfChild(child.name, child.ns);
  if (child.has_text && IsBody(child.name, child.ns)) traits |= common::v1::STANZA_TRAIT_BODY;
  if (child.has_invite && (traits & common::v1::STANZA_TRAIT_MUC_USER))
    traits |= common::v1::STANZA_TRAIT_MUC_INVITE;
  return traits;
}

Stanza MakeReply(const Stanza& stanza, std::string_view type) {
  Stanza reply;
  reply.set_kind(stanza.kind());
  reply.set_type(type.data(), type.size());
  reply.set_id(stanza.id());
  reply.set_from(stanza.to());
  reply.set_to(stanza.from());
  return reply;
}

// Whether an error answers with what was asked.
bool IsGivenBack(const Stanza& stanza) {
  return stanza.kind() != common::v1::STANZA_KIND_MESSAGE &&
         stanza.payload().size() <= kMaxEchoedPayloadBytes &&
         stanza.payload().find(ns::kRegister) == std::string::npos;
}

constexpr std::array<std::string_view, 5> kErrorTypes = {"auth", "cancel", "continue", "modify", "wait"};

struct ConditionRow {
  std::string_view name;
  ErrorType type;
};

// In the order of ErrorCondition; types as RFC 6120 section 8.3.3 recommends.
constexpr std::array<ConditionRow, 22> kConditions = {{
    {"bad-request", ErrorType::kModify},
    {"conflict", ErrorType::kCancel},
    {"feature-not-implemented", ErrorType::kCancel},
    {"forbidden", ErrorType::kAuth},
    {"gone", ErrorType::kCancel},
    {"internal-server-error", ErrorType::kCancel},
    {"item-not-found", ErrorType::kCancel},
    {"jid-malformed", ErrorType::kModify},
    {"not-acceptable", ErrorType::kModify},
    {"not-allowed", ErrorType::kCancel},
    {"not-authorized", ErrorType::kAuth},
    {"policy-violation", ErrorType::kModify},
    {"recipient-unavailable", ErrorType::kWait},
    {"redirect", ErrorType::kModify},
    {"registration-required", ErrorType::kAuth},
    {"remote-server-not-found", ErrorType::kCancel},
    {"remote-server-timeout", ErrorType::kWait},
    {"resource-constraint", ErrorType::kWait},
    {"service-unavailable", ErrorType::kCancel},
    {"subscription-required", ErrorType::kAuth},
    {"undefined-condition", ErrorType::kCancel},
    {"unexpected-request", ErrorType::kWait},
}};

// Digits at `at`, exactly `count` of them.
bool ReadNumber(std::string_view text, std::size_t& at, std::size_t count, std::int64_t& out) {
  if (at + count > text.size()) return false;
  out = 0;
  for (std::size_t i = 0; i < count; ++i, ++at) {
    if (text[at] < '0' || text[at] > '9') return false;
    out = out * 10 + (text[at] - '0');
  }
  return true;
}

bool ReadChar(std::string_view text, std::size_t& at, char c) {
  if (at >= text.size() || text[at] != c) return false;
  ++at;
  return true;
}

}  // namespace

void AppendXml(std::string& out, const Stanza& stanza, Framing framing, std::string_view to) {
  if (to.empty()) to = stanza.to();
  const std::string_view name = KindName(stanza.kind());
  ROOKERY_CHECK(!name.empty());
  const std::size_t needed = out.size() + 128 + stanza.from().size() + to.size() + stanza.id().size() +
                             stanza.type().size() + stanza.lang().size() + stanza.payload().size();
  // Growing by what one stanza needs, over and over, would copy a batch at each step.
  if (needed > out.capacity()) out.reserve(std::max(needed, out.capacity() * 2));
  out.push_back('<');
  out.append(name);
  if (framing == Framing::kWebSocket) out.append(kDeclaration);
  AppendAttribute(out, kFrom, stanza.from());
  AppendAttribute(out, kTo, to);
  AppendAttribute(out, kId, stanza.id());
  AppendAttribute(out, kType, stanza.type());
  AppendAttribute(out, kLang, stanza.lang());
  if (stanza.payload().empty()) {
    out.append("/>");
    return;
  }
  out.push_back('>');
  out.append(stanza.payload());
  out.append("</");
  out.append(name);
  out.push_back('>');
}

std::size_t WrittenSize(const Stanza& stanza, Framing framing, std::string_view to) {
  if (to.empty()) to = stanza.to();
  const std::size_t name = KindName(stanza.kind()).size();
  const std::size_t open_tag = 1 + name + (framing == Framing::kWebSocket ? kDeclaration.size() : 0) +
                               AttributeSize(kFrom, stanza.from()) + AttributeSize(kTo, to) +
                               AttributeSize(kId, stanza.id()) + AttributeSize(kType, stanza.type()) +
                               AttributeSize(kLang, stanza.lang());
  return open_tag + (stanza.payload().empty() ? 2 : stanza.payload().size() + name + 4);
}

absl::StatusOr<Stanza> FromElement(const Element& element) {
  const StanzaKind kind =
      element.ns() == ns::kClient ? KindOf(element.name()) : common::v1::STANZA_KIND_UNSPECIFIED;
  if (kind == common::v1::STANZA_KIND_UNSPECIFIED) return absl::InvalidArgumentError("not a stanza");
  Stanza stanza;
  stanza.set_kind(kind);
  auto attr = [&](std::string_view name) { return std::string(element.Attr(name)); };
  stanza.set_type(attr("type"));
  stanza.set_id(attr("id"));
  stanza.set_from(attr("from"));
  stanza.set_to(attr("to"));
  if (const std::string* lang = element.FindAttr("lang", ns::kXml)) stanza.set_lang(*lang);
  std::uint32_t traits = 0;
  const Element* only = nullptr;
  std::size_t count = 0;
  for (const Element& child : element.children()) {
    child.AppendTo(*stanza.mutable_payload(), ns::kClient);
    if (child.name().empty()) continue;
    traits |= TraitsOf(child);
    only = &child;
    ++count;
  }
  stanza.set_traits(traits);
  if (count == 1 && IsRequest(stanza)) {
    stanza.set_payload_name(only->name());
    stanza.set_payload_namespace(only->ns());
  }
  return stanza;
}

void SetPayload(Stanza& stanza, const Element& child) {
  ClearPayload(stanza);
  AddPayload(stanza, child);
}

void AddPayload(Stanza& stanza, const Element& child) {
  const bool only = stanza.payload().empty();
  child.AppendTo(*stanza.mutable_payload(), ns::kClient);
  stanza.set_traits(stanza.traits() | TraitsOf(child));
  if (only && IsRequest(stanza)) {
    stanza.set_payload_name(child.name());
    stanza.set_payload_namespace(child.ns());
  } else {
    stanza.clear_payload_name();
    stanza.clear_payload_namespace();
  }
}

void ClearPayload(Stanza& stanza) {
  stanza.clear_payload();
  stanza.set_traits(0);
  stanza.clear_payload_name();
  stanza.clear_payload_namespace();
}

void RemovePayload(Stanza& stanza, std::string_view name, std::string_view ns, std::string_view by) {
  const std::string& payload = stanza.payload();
  std::string kept;
  std::size_t copied = 0;
  std::uint32_t traits = 0;
  bool removed = false;
  const bool balanced = ForEachChild(payload, [&](const Child& child) {
    const bool matches = child.name == name && child.ns == ns &&
                         (by.empty() || AttributeOf(child.open_tag, "by").value_or("") == by);
    if (!matches) {
      traits |= TraitsOf(child);
      return;
    }
    if (!removed) kept.reserve(payload.size());
    removed = true;
    kept.append(payload, copied, child.begin - copied);
    copied = child.end;
  });
  if (!balanced || !removed) return;
  kept.append(payload, copied);
  stanza.set_payload(std::move(kept));
  stanza.set_traits(traits);
  if (stanza.payload_name() == name && stanza.payload_namespace() == ns) {
    stanza.clear_payload_name();
    stanza.clear_payload_namespace();
  }
}

Element OnlyChild(const Stanza& iq) {
  auto children = ParsePayload(iq.payload());
  if (!children.ok()) return {};
  std::erase_if(*children, [](const Element& child) { return child.name().empty(); });  // text
  return children->size() == 1 ? std::move(children->front()) : Element();
}

Stanza MakeMessage(std::string_view type, std::string_view from, std::string_view to) {
  Stanza stanza;
  stanza.set_kind(common::v1::STANZA_KIND_MESSAGE);
  stanza.set_type(type.data(), type.size());
  stanza.set_from(from.data(), from.size());
  stanza.set_to(to.data(), to.size());
  return stanza;
}

Stanza MakePresence(std::string_view type, std::string_view from, std::string_view to) {
  Stanza stanza = MakeMessage(type, from, to);
  stanza.set_kind(common::v1::STANZA_KIND_PRESENCE);
  return stanza;
}

Stanza MakeResult(const Stanza& request) { return MakeReply(request, "result"); }

Stanza MakeResult(const Stanza& request, const Element& payload) {
  Stanza reply = MakeReply(request, "result");
  SetPayload(reply, payload);
  return reply;
}

std::string_view Name(ErrorCondition condition) {
  return kConditions[static_cast<std::size_t>(condition)].name;
}

std::optional<ErrorCondition> ParseErrorCondition(std::string_view name) {
  for (std::size_t i = 0; i < kConditions.size(); ++i) {
    if (kConditions[i].name == name) return static_cast<ErrorCondition>(i);
  }
  return std::nullopt;
}

ErrorType DefaultType(ErrorCondition condition) {
  return kConditions[static_cast<std::size_t>(condition)].type;
}

Element MakeErrorElement(ErrorCondition condition, std::string_view text, std::optional<ErrorType> type) {
  Element error("error", ns::kClient);
  error.SetAttr("type", kErrorTypes[static_cast<std::size_t>(type.value_or(DefaultType(condition)))]);
  error.Add(Name(condition), ns::kStanzaErrors);
  if (!text.empty()) {
    error.Add("text", ns::kStanzaErrors).SetAttr("lang", "en", ns::kXml).SetText(text);
  }
  return error;
}

Stanza MakeError(const Stanza& stanza, ErrorCondition condition, std::string_view text,
                 std::optional<ErrorType> type) {
  return MakeError(stanza, MakeErrorElement(condition, text, type));
}

Stanza MakeError(const Stanza& stanza, const Element& error) {
  ROOKERY_CHECK(stanza.type() != "error");
  Stanza reply = MakeReply(stanza, "error");
  if (IsGivenBack(stanza)) {
    reply.set_payload(stanza.payload());
    reply.set_traits(stanza.traits());
  }
  AddPayload(reply, error);
  return reply;
}

ErrorCondition ConditionOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ErrorCondition::kBadRequest;
    case absl::StatusCode::kNotFound:
      return ErrorCondition::kItemNotFound;
    case absl::StatusCode::kAlreadyExists:
      return ErrorCondition::kConflict;
    case absl::StatusCode::kPermissionDenied:
      return ErrorCondition::kForbidden;
    case absl::StatusCode::kUnauthenticated:
      return ErrorCondition::kNotAuthorized;
    case absl::StatusCode::kFailedPrecondition:
      return ErrorCondition::kNotAllowed;
    case absl::StatusCode::kUnimplemented:
      return ErrorCondition::kFeatureNotImplemented;
    // A condition that passes soon must have the type `wait`, or clients give up.
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
      return ErrorCondition::kResourceConstraint;
    case absl::StatusCode::kDeadlineExceeded:
      return ErrorCondition::kRemoteServerTimeout;
    default:
      return ErrorCondition::kInternalServerError;
  }
}

void AppendForwarded(std::string& out, const Stanza* stanza, std::optional<std::int64_t> received_at_ms,
                     std::string_view to) {
  out.append("<forwarded xmlns=\"").append(ns::kForward).append("\">");
  if (received_at_ms) MakeDelay({}, *received_at_ms).AppendTo(out, ns::kForward);
  // With the declaration that a child of <forwarded/> needs.
  if (stanza != nullptr) AppendXml(out, *stanza, Framing::kWebSocket, to);
  out.append("</forwarded>");
}

std::uint32_t TraitsOf(const Element& child) {
  std::uint32_t traits = TraitsOfChild(child.name(), child.ns());
  if (IsBody(child.name(), child.ns()) && !child.Text().empty()) traits |= common::v1::STANZA_TRAIT_BODY;
  if ((traits & common::v1::STANZA_TRAIT_MUC_USER) && child.Find("invite", ns::kMucUser) != nullptr) {
    traits |= common::v1::STANZA_TRAIT_MUC_INVITE;
  }
  return traits;
}

std::string FormatDateTime(std::int64_t unix_millis) {
  using namespace std::chrono;  // NOLINT: calendar types
  const sys_time<milliseconds> time{milliseconds(unix_millis)};
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

std::optional<std::int64_t> ParseDateTime(std::string_view text) {
  using namespace std::chrono;  // NOLINT: calendar types
  std::size_t at = 0;
  std::int64_t y, mo, d, h, mi, s;
  if (!ReadNumber(text, at, 4, y) || !ReadChar(text, at, '-') || !ReadNumber(text, at, 2, mo) ||
      !ReadChar(text, at, '-') || !ReadNumber(text, at, 2, d) || !ReadChar(text, at, 'T') ||
      !ReadNumber(text, at, 2, h) || !ReadChar(text, at, ':') || !ReadNumber(text, at, 2, mi) ||
      !ReadChar(text, at, ':') || !ReadNumber(text, at, 2, s)) {
    return std::nullopt;
  }
  std::int64_t milliseconds_part = 0;
  if (ReadChar(text, at, '.')) {
    std::int64_t scale = 100;
    const std::size_t begin = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
      milliseconds_part += (text[at] - '0') * scale;
    }
    if (at == begin) return std::nullopt;
  }
  std::int64_t offset_minutes = 0;
  if (!ReadChar(text, at, 'Z')) {
    if (at >= text.size() || (text[at] != '+' && text[at] != '-')) return std::nullopt;
    const bool behind = text[at++] == '-';
    std::int64_t hours_part, minutes_part;
    if (!ReadNumber(text, at, 2, hours_part) || !ReadChar(text, at, ':') ||
        !ReadNumber(text, at, 2, minutes_part) || hours_part > 14 || minutes_part > 59) {
      return std::nullopt;
    }
    offset_minutes = (hours_part * 60 + minutes_part) * (behind ? -1 : 1);
  }
  const year_month_day date{year(static_cast<int>(y)), month(static_cast<unsigned>(mo)),
                            day(static_cast<unsigned>(d))};
  // 60: a leap second is the first second of what follows.
  if (at != text.size() || !date.ok() || h > 23 || mi > 59 || s > 60) return std::nullopt;
  const std::int64_t day_count = sys_days(date).time_since_epoch().count();
  return ((day_count * 24 + h) * 60 + mi - offset_minutes) * 60'000 + s * 1000 + milliseconds_part;
}

Element MakeDelay(std::string_view from, std::int64_t unix_millis) {
  Element delay("delay", ns::kDelay);
  if (!from.empty()) delay.SetAttr("from", from);
  delay.SetAttr("stamp", FormatDateTime(unix_millis));
  return delay;
}

}  // namespace rookery::xmpp
