#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rookery::xmpp {

/// Character data: & < > and carriage return (which a parser would turn into a line
/// feed) become references. Quotes stay as they are. What XML 1.0 forbids becomes
/// U+FFFD, so that no text of ours can break a stream.
void AppendText(std::string& out, std::string_view text);

/// How many bytes AppendEscaped appends.
std::size_t EscapedSize(std::string_view text);

}  // namespace rookery::xmpp
