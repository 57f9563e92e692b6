#include "large_message.h"

#include <algorithm>
#include <utility>

#include "domain/text.h"
#include "repeat.h"

namespace rookery::fuzz {

namespace {

using gateway::Append;
using gateway::Cat;

/// How much of a shape one stanza may have beside what is around it.
std::size_t MostParts(Shape shape) {
  constexpr xmpp::ParserLimits kLimits;
  switch (shape) {
    case Shape::kText:
    case Shape::kAttribute:
      return kLimits.max_stanza_bytes * 1'000;  // as much as fits
    case Shape::kAttributes:
      return kLimits.max_attributes;
    case Shape::kElements:
      return kLimits.max_elements - 8;
    case Shape::kNamespaces:
      return kLimits.max_namespaces - 4;
    case Shape::kNesting:
      return kLimits.max_depth / 2 - 1;  // of two elements
  }
  return 0;
}

/// As much of the filler as is the name of a namespace, which may have 512 bytes.
std::string NameOf(std::string_view filler) { return Repeat(filler, 256 / filler.size()); }

/// Each part adds as much as any other; names are numbered from 10 for that.
std::string ContentOf(Shape shape, std::string_view filler, std::size_t parts) {
  constexpr std::size_t kFirst = 10;
  std::string xml;
  switch (shape) {
    case Shape::kText:
      return Cat("<nick xmlns=\"http://jabber.org/protocol/nick\">x", Repeat(filler, parts), "</nick>");
    case Shape::kAttribute:
      return Cat("<x xmlns=\"urn:x\" a=\"", Repeat(filler, parts), "\"/>");
    case Shape::kAttributes:
      xml = "<x xmlns=\"urn:x\"";
      for (std::size_t i = kFirst; i < kFirst + parts; ++i)
        Append(xml, " a", i, "=\"", Repeat(filler, 64), "\"");
      return xml.append("/>");
    case Shape::kElements:
      return Repeat(Cat("<p:e a=\"", filler, "\"/>"), parts);
    case Shape::kNamespaces:
      for (std::size_t i = kFirst; i < kFirst + parts; ++i)
        Append(xml, "<x xmlns=\"urn:", i, ":", NameOf(filler), "\"/>");
      return xml;
    case Shape::kNesting:
      return Cat(Repeat("<p:d><d>", parts), "x", Repeat("</d></p:d>", parts));
  }
  return xml;
}

class OneStanza final : public xmpp::StreamHandler {
 public:
  void OnStreamOpen(const xmpp::Element&, std::string_view) override {}
  void OnStanza(xmpp::Stanza read) override { stanza = std::move(read); }
  void OnElement(const xmpp::Element&) override {}
  void OnStreamClose() override {}
  std::optional<xmpp::Stanza> stanza;
};

}  // namespace

std::string XmlOf(const LargeMessage& message, std::string_view id, const std::string& from,
                  std::string_view to) {
  std::string head =
      Cat("<message xmlns=\"jabber:client\" xmlns:p=\"urn:p:", NameOf(message.filler), "\" to=\"");
  xmpp::AppendEscaped(head, to);
  Append(head, "\" id=\"", id, "\"");
  if (!message.type.empty()) Append(head, " type=\"", message.type, "\"");
  if (message.lang_bytes > 0) Append(head, " xml:lang=\"", std::string(message.lang_bytes, '\''), "\"");
  const auto write = [&](std::size_t parts, std::size_t padding) {
    return Cat(head, ">", ContentOf(message.shape, message.filler, parts), "<body>x",
               std::string(padding, 'x'), "</body></message>");
  };
  const auto size = [&](std::size_t parts) {
    const std::optional<xmpp::Stanza> stanza = Read(write(parts, 0), from, {});
    return stanza ? WrittenBytes(*stanza) : 0;
  };
  const std::size_t with_none = size(0);
  const std::size_t with_one = size(1);
  // What cannot be read has no size.
  if (with_none == 0 || with_one <= with_none || message.written_bytes < with_one) return write(1, 0);
  const std::size_t part = with_one - with_none;
  const std::size_t room = message.written_bytes - with_none;
  const std::size_t parts = std::min(room / part, MostParts(message.shape));
  return write(parts, room - parts * part);
}

std::optional<xmpp::Stanza> Read(std::string_view xml, const std::string& from,
                                 const xmpp::ParserLimits& limits) {
  OneStanza handler;
  xmpp::StreamParser parser(xmpp::Framing::kWebSocket, handler, limits);
  std::size_t used = 0;
  (void)parser.Parse(xml, &used);
  if (handler.stanza) handler.stanza->set_from(from);
  return std::move(handler.stanza);
}

std::size_t WrittenBytes(const xmpp::Stanza& stanza) {
  std::string xml;
  xmpp::AppendXml(xml, stanza, xmpp::Framing::kWebSocket);
  return xml.size();
}

}  // namespace rookery::fuzz
