#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rookery/xmpp/stanza.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::fuzz {

/// What makes a message large.
enum class Shape : std::uint8_t {
  kText,        // of one element
  kAttribute,   // one
  kAttributes,  // many of one element
  kElements,    // of a namespace that a prefix abbreviates where they are read, and that each names in full
                // where they are written
  kNamespaces,  // declared
  kNesting,
};
inline constexpr Shape kShapes[] = {Shape::kText,     Shape::kAttribute,  Shape::kAttributes,
                                    Shape::kElements, Shape::kNamespaces, Shape::kNesting};

/// A message that is large in a way that costs those who hand it on.
struct LargeMessage {
  Shape shape = Shape::kText;
  /// What fills it, as it stands in XML, without `<` and `"`.
  std::string filler = "'";
  /// How large it is to be as a gateway writes it: of as many parts as fit, and padding. There is one part at
  /// least.
  std::size_t written_bytes = 0;
  std::string type = "chat";  // empty: none
  std::size_t lang_bytes = 0;
};

/// As its client sends it.
std::string XmlOf(const LargeMessage& message, std::string_view id, const std::string& from,
                  std::string_view to);
/// The stanza that a gateway makes of what the client `from` sends; nullopt: none, and the stream ends.
std::optional<xmpp::Stanza> Read(std::string_view xml, const std::string& from,
                                 const xmpp::ParserLimits& limits);
/// Its size in the framing that takes the most, counted from what is written.
std::size_t WrittenBytes(const xmpp::Stanza& stanza);

}  // namespace rookery::fuzz
