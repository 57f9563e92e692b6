#include "rookery/xmpp/search_text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>

#include "rookery/base/check.h"

namespace rookery::xmpp {

std::string FoldForSearch(std::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* folding = icu::Normalizer2::getNFKCCasefoldInstance(error);
  ROOKERY_CHECK(U_SUCCESS(error));
  std::string folded;
  icu::StringByteSink<std::string> sink(&folded);
  folding->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink,
                         nullptr, error);
  ROOKERY_CHECK(U_SUCCESS(error));
  return folded;
}

std::vector<std::string> SearchWordsOf(std::string_view text) {
  const std::string folded = FoldForSearch(text);
  std::vector<std::string> words;
  std::string word;
  bool is_word = false;
  const auto end_word = [&] {
    if (is_word && std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
    word.clear();
    is_word = false;
  };
  const auto size = static_cast<std::int32_t>(folded.size());
  for (std::int32_t at = 0; at < size;) {
    const std::int32_t from = at;
    UChar32 character = 0;
    U8_NEXT(folded.data(), at, size, character);
    if (character >= 0 && u_isUWhiteSpace(character)) {
      end_word();
      continue;
    }
    word.append(folded, static_cast<std::size_t>(from), static_cast<std::size_t>(at - from));
    is_word = is_word || (character >= 0 && u_isalnum(character));
  }
  end_word();
  return words;
}

}  // namespace rookery::xmpp
