#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// A text as PostgreSQL's index keeps it: which words it has, and where. What is beyond a limit is not found,
/// and is no error. The limits keep a tsvector far below the megabyte that PostgreSQL takes.
namespace rookery::search {

/// Of a text.
inline constexpr std::size_t kMaxTextBytes = 64 * 1024;
/// Of a text. PostgreSQL has no higher position, and would give this one to all words behind it.
inline constexpr std::size_t kMaxTextWords = 16'383;
/// Of one word. PostgreSQL keeps no more; the word is found, but a phrase with it only in the first places.
inline constexpr std::size_t kMaxPlacesOfWord = 255;

/// The text's words (xmpp::WordsInText) as the literal of a tsvector, each with its places from 1 on, in
/// PostgreSQL's own order and spelling: it gives back what it was given. Empty, which is a tsvector as well:
/// the text has no words. A line takes some microseconds, the longest text up to 30 ms. Thread-safe.
std::string TsvectorOf(std::string_view text);

}  // namespace rookery::search
