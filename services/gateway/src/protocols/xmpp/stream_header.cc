#include "protocols/xmpp/stream_header.h"

#include <algorithm>
#include <cstdint>

#include "domain/text.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::gateway {
namespace {

namespace ns = xmpp::ns;

/// RFC 6120 section 4.7.5: both parts are numbers of their own.
bool SpeaksVersionOne(std::string_view version) {
  const auto dot = version.find('.');
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  return dot != std::string_view::npos && ParseNumber(version.substr(0, dot), &major) &&
         ParseNumber(version.substr(dot + 1), &minor) && major >= 1;
}

std::optional<StreamError> CheckName(const xmpp::Element& header, std::string_view default_ns,
                                     xmpp::Framing framing) {
  if (framing == xmpp::Framing::kWebSocket) {
    if (!header.Is("open", ns::kFraming)) return StreamError::kInvalidNamespace;
    return std::nullopt;
  }
  if (header.ns() != ns::kStreams || default_ns != ns::kClient) return StreamError::kInvalidNamespace;
  if (header.name() != "stream") return StreamError::kBadFormat;
  return std::nullopt;
}

}  // namespace

ClientHeader ReadHeader(const xmpp::Element& header, std::string_view default_ns, xmpp::Framing framing,
                        const std::vector<std::string>& domains) {
  ClientHeader result;
  const std::string_view named = header.Attr("to");
  const auto to = xmpp::PrepareDomain(named);
  if (to.ok()) {
    const auto found = std::find(domains.begin(), domains.end(), *to);
    if (found != domains.end()) result.domain = static_cast<std::size_t>(found - domains.begin());
  }
  if (const auto from = xmpp::Jid::Parse(header.Attr("from")); from.ok()) result.peer = from->bare();
  const std::string* lang = header.FindAttr("lang", ns::kXml);
  if (lang != nullptr && lang->size() <= xmpp::kMaxLangBytes) result.lang = *lang;

  result.error = CheckName(header, default_ns, framing);
  if (result.error) return result;
  if (!result.domain) {
    result.error = to.ok() && !named.empty() ? StreamError::kHostUnknown : StreamError::kImproperAddressing;
  } else if (!SpeaksVersionOne(header.Attr("version"))) {
    result.error = StreamError::kUnsupportedVersion;
  }
  return result;
}

}  // namespace rookery::gateway
