#include "protocols/xmpp/host_meta.h"

#include "domain/text.h"
#include "rookery/xmpp/element.h"

namespace rookery::gateway {
namespace {

constexpr std::string_view kRelation = "urn:xmpp:alt-connections:websocket";

/// RFC 8259 section 7; a URL needs no other escape.
void AppendJsonText(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
  }
}

}  // namespace

std::string HostMetaXml(std::string_view websocket_url) {
  std::string out =
      Cat("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
          "<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">\n  <Link rel=\"",
          kRelation, "\" href=\"");
  xmpp::AppendEscaped(out, websocket_url);
  out.append("\"/>\n</XRD>\n");
  return out;
}

std::string HostMetaJson(std::string_view websocket_url) {
  std::string out = Cat("{\"links\":[{\"rel\":\"", kRelation, "\",\"href\":\"");
  AppendJsonText(out, websocket_url);
  out.append("\"}]}\n");
  return out;
}

}  // namespace rookery::gateway
