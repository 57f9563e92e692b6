#include "domain/text/tsvector.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "domain/text/lexeme.h"
#include "rookery/xmpp/text_words.h"

namespace rookery::search {

std::string TsvectorOf(std::string_view text) {
  const std::vector<std::string> words = xmpp::WordsInText(
      text, {.text_bytes = kMaxTextBytes, .words = kMaxTextWords, .word_bytes = kMaxWordBytes});
  std::map<std::string_view, std::vector<std::size_t>> places;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::vector<std::size_t>& of_word = places[words[i]];
    if (of_word.size() < kMaxPlacesOfWord) of_word.push_back(i + 1);
  }
  std::string literal;
  for (const auto& [word, of_word] : places) {
    if (!literal.empty()) literal += ' ';
    AppendLexeme(literal, word);
    absl::StrAppend(&literal, ":", absl::StrJoin(of_word, ","));
  }
  return literal;
}

}  // namespace rookery::search
