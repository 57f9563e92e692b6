#pragma once

#include <string>
#include <string_view>

#include "line.h"

namespace rookery::fuzz {

/// The addresses that are there, as seen by the client that writes.
struct Cast {
  std::string own;         // bare
  std::string own_full;    // of this stream
  std::string own_other;   // full, another device of the user's
  std::string other;       // bare
  std::string other_full;  // full
};

/// Something that a client is to send.
struct Written {
  std::string xml;
  bool is_valid;  // any server takes it for one stanza
};

/// One stanza, of its kind: a line's decisions are type, recipient, payload and what is wrong
/// with it: nothing at all, or one thing. `mark` is in whatever the payload lets users write, `id` its id.
Written MakeMessage(Line& line, const Cast& cast, std::string_view mark, std::string_view id);
Written MakePresence(Line& line, const Cast& cast, std::string_view mark, std::string_view id);
Written MakeIq(Line& line, const Cast& cast, std::string_view mark, std::string_view id);

}  // namespace rookery::fuzz
