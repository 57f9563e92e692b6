#include "domain/text/lexeme.h"

namespace rookery::search {

void AppendLexeme(std::string& literal, std::string_view word) {
  literal += '\'';
  for (const char c : word) {
    if (c == '\'' || c == '\\') literal += c;
    literal += c;
  }
  literal += '\'';
}

}  // namespace rookery::search
