#include "domain/text/tsquery.h"

#include <string_view>

#include "domain/text/lexeme.h"

namespace rookery::search {
namespace {

using Kind = TextSearch::Kind;

/// In parentheses where there is more than one, so that no precedence matters.
template <typename Items, typename AppendItem>
void AppendJoined(std::string& literal, const Items& items, std::string_view joint, AppendItem append_item) {
  if (items.size() == 1) return append_item(literal, items.front());
  std::string_view before = "(";
  for (const auto& item : items) {
    literal += before;
    append_item(literal, item);
    before = joint;
  }
  literal += ')';
}

void AppendWord(std::string& literal, const SoughtWord& word) {
  AppendLexeme(literal, word.text);
  if (word.is_prefix) literal += ":*";
}

void Append(std::string& literal, const TextSearch& search) {
  switch (search.kind) {
    case Kind::kPhrase:
      return AppendJoined(literal, search.phrase, " <-> ", AppendWord);
    case Kind::kAll:
      return AppendJoined(literal, search.parts, " & ", Append);
    case Kind::kAny:
      return AppendJoined(literal, search.parts, " | ", Append);
    case Kind::kNot:
      literal += '!';
      return Append(literal, search.parts.front());
  }
}

}  // namespace

std::string TsqueryOf(const TextSearch& search) {
  std::string literal;
  Append(literal, search);
  return literal;
}

}  // namespace rookery::search
