#include "protocols/xmpp/stream_xml.h"

#include "domain/base64.h"
#include "domain/text.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::gateway {
namespace {

namespace ns = xmpp::ns;

void AppendAttribute(std::string& out, std::string_view name, std::string_view value) {
  Append(out, " ", name, "=\"");
  xmpp::AppendEscaped(out, value);
  out.push_back('"');
}

void AppendEmpty(std::string& out, std::string_view name, std::string_view xmlns) {
  Append(out, "<", name, " xmlns=\"", xmlns, "\"/>");
}

/// In a WebSocket message the prefix must be declared again.
void AppendStreamsPrefix(std::string& out, xmpp::Framing framing) {
  if (framing == xmpp::Framing::kWebSocket) AppendAttribute(out, "xmlns:stream", ns::kStreams);
}

void AppendLimits(std::string& out, const StreamLimits& limits) {
  Append(out, "<limits xmlns=\"", ns::kStreamLimits, "\"><max-bytes>", limits.max_bytes, "</max-bytes>");
  if (limits.idle_seconds > 0) Append(out, "<idle-seconds>", limits.idle_seconds, "</idle-seconds>");
  out.append("</limits>");
}

}  // namespace

std::string& StreamScratch() {
  thread_local std::string scratch;
  // One huge stanza must not be paid for ever after.
  if (scratch.capacity() > (std::size_t{1} << 20)) std::string().swap(scratch);
  scratch.clear();
  return scratch;
}

void AppendStreamHeader(std::string& out, xmpp::Framing framing, const StreamHeader& header) {
  if (framing == xmpp::Framing::kWebSocket) {
    Append(out, "<open xmlns=\"", ns::kFraming, "\"");
  } else {
    Append(out, "<?xml version=\"1.0\"?><stream:stream xmlns=\"", ns::kClient, "\" xmlns:stream=\"",
           ns::kStreams, "\"");
  }
  AppendAttribute(out, "from", header.from);
  if (!header.to.empty()) AppendAttribute(out, "to", header.to);
  AppendAttribute(out, "id", header.id);
  out.append(" version=\"1.0\" xml:lang=\"en\"");
  out.append(framing == xmpp::Framing::kWebSocket ? "/>" : ">");
}

void AppendStreamClose(std::string& out, xmpp::Framing framing) {
  if (framing == xmpp::Framing::kWebSocket) {
    AppendEmpty(out, "close", ns::kFraming);
  } else {
    out.append("</stream:stream>");
  }
}

void AppendStreamError(std::string& out, xmpp::Framing framing, const StreamErrorText& error) {
  out.append("<stream:error");
  AppendStreamsPrefix(out, framing);
  out.push_back('>');
  AppendEmpty(out, Name(error.condition), ns::kStreamErrors);
  if (!error.text.empty()) {
    Append(out, "<text xmlns=\"", ns::kStreamErrors, "\" xml:lang=\"en\">");
    xmpp::AppendEscaped(out, error.text);
    out.append("</text>");
  }
  out.append(error.application);
  out.append("</stream:error>");
}

void AppendFeatures(std::string& out, xmpp::Framing framing, const FeaturesBeforeAuth& features) {
  out.append("<stream:features");
  AppendStreamsPrefix(out, framing);
  out.push_back('>');
  if (features.starttls) {
    Append(out, "<starttls xmlns=\"", ns::kTls, "\">", features.starttls_required ? "<required/>" : "",
           "</starttls>");
  }
  if (!features.starttls_required) {
    Append(out, "<mechanisms xmlns=\"", ns::kSasl, "\">");
    for (const auto mechanism : features.mechanisms) Append(out, "<mechanism>", mechanism, "</mechanism>");
    out.append("</mechanisms>");
    if (!features.channel_bindings.empty()) {
      Append(out, "<sasl-channel-binding xmlns=\"", ns::kSaslChannelBinding, "\">");
      for (const auto type : features.channel_bindings) {
        Append(out, "<channel-binding type=\"", type, "\"/>");
      }
      out.append("</sasl-channel-binding>");
    }
    if (features.registration) AppendEmpty(out, "register", ns::kRegisterFeature);
    AppendLimits(out, features.limits);
  }
  out.append("</stream:features>");
}

void AppendFeaturesAfterAuth(std::string& out, xmpp::Framing framing, const FeaturesAfterAuth& features) {
  out.append("<stream:features");
  AppendStreamsPrefix(out, framing);
  out.push_back('>');
  AppendEmpty(out, "bind", ns::kBind);
  Append(out, "<session xmlns=\"", ns::kSession, "\"><optional/></session>");
  AppendEmpty(out, "sm", ns::kStreamManagement);
  AppendEmpty(out, "ver", ns::kRosterVersioning);
  AppendEmpty(out, "sub", ns::kPreApproval);
  if (!features.caps_ver.empty()) {
    Append(out, "<c xmlns=\"", ns::kCaps, "\" hash=\"sha-1\"");
    AppendAttribute(out, "node", features.caps_node);
    AppendAttribute(out, "ver", features.caps_ver);
    out.append("/>");
  }
  AppendLimits(out, features.limits);
  out.append("</stream:features>");
}

void AppendSaslFailure(std::string& out, std::string_view condition) {
  Append(out, "<failure xmlns=\"", ns::kSasl, "\"><", condition, "/></failure>");
}

void AppendSaslData(std::string& out, std::string_view element, std::string_view data) {
  Append(out, "<", element, " xmlns=\"", ns::kSasl, "\"");
  if (data.empty()) {
    out.append("/>");
  } else {
    Append(out, ">", EncodeBase64(data), "</", element, ">");
  }
}

void AppendEnabled(std::string& out, const StreamManagementEnabled& enabled) {
  Append(out, "<enabled xmlns=\"", ns::kStreamManagement, "\"");
  if (!enabled.id.empty()) {
    Append(out, " id=\"", enabled.id, "\" resume=\"true\"");
    if (enabled.max_seconds != 0) Append(out, " max=\"", enabled.max_seconds, "\"");
  }
  out.append("/>");
}

std::string HandledCountTooHigh(std::uint32_t h, std::uint32_t sent) {
  return Cat("<handled-count-too-high xmlns=\"", ns::kStreamManagement, "\" h=\"", h, "\" send-count=\"",
             sent, "\"/>");
}

void AppendStreamManagementFailed(std::string& out, std::string_view condition, const std::uint32_t* h) {
  Append(out, "<failed xmlns=\"", ns::kStreamManagement, "\"");
  if (h != nullptr) Append(out, " h=\"", *h, "\"");
  Append(out, "><", condition, " xmlns=\"", ns::kStanzaErrors, "\"/></failed>");
}

}  // namespace rookery::gateway
