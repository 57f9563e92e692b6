#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rookery::search {

/// Bytes of a word in the index; longer ones are cut, in messages and in searches alike. PostgreSQL refuses
/// more than 2,046.
inline constexpr std::size_t kMaxWordBytes = 256;

/// Appends the word as a quoted lexeme, which is written in the same way in a tsvector and in a tsquery.
/// Whatever is in the word stays inside the quotes.
void AppendLexeme(std::string& literal, std::string_view word);

}  // namespace rookery::search
