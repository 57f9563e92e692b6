#pragma once

#include <expat.h>

#include <memory>
#include <string_view>
#include <type_traits>

namespace rookery::xmpp {

struct ExpatFree {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};
using ExpatHandle = std::unique_ptr<std::remove_pointer_t<XML_Parser>, ExpatFree>;

/// A byte order mark settles the encoding: without it expat guesses UTF-16 from the
/// first bytes even when it is told that they are UTF-8.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// A parser for UTF-8 that reports what it has as soon as it has it. Null when memory
/// is out. It has been given a byte order mark. Namespaces are ours (namespaces.h): expat
/// would copy the namespace name into each prefixed attribute before it asks us, some
/// gigabytes for one stanza of 256 KiB.
ExpatHandle MakeExpat();

}  // namespace rookery::xmpp
