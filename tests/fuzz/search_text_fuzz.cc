// Full-text search: whatever is said and whatever is typed, PostgreSQL is given a tsvector and a tsquery that
// it takes, read here with a small reader of their grammars, and neither exceeds its limits.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "domain/text/lexeme.h"
#include "domain/text/text_search.h"
#include "domain/text/tsquery.h"
#include "domain/text/tsvector.h"
#include "fuzz_input.h"

namespace {

using rookery::fuzz::Require;
using namespace rookery::search;  // NOLINT: what is tested

/// PostgreSQL's pg_utf8_islegal, as RFC 3629 has it, and no NUL.
bool IsTextOfPostgres(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at++]);
    if (lead == 0) return false;
    if (lead < 0x80) continue;
    const std::size_t trail = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - at < trail) return false;
    std::uint32_t character = lead & (0x3fu >> trail);
    for (std::size_t i = 0; i < trail; ++i) {
      const auto byte = static_cast<unsigned char>(text[at++]);
      if ((byte & 0xc0) != 0x80) return false;
      character = character << 6 | (byte & 0x3f);
    }
    constexpr std::uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (character < kLeast[trail] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
      return false;
  }
  return true;
}

class Reader {
 public:
  explicit Reader(std::string_view literal) : rest_(literal) {
    Require(IsTextOfPostgres(literal), "the literal is text");
  }

  bool is_at_end() const { return rest_.empty(); }
  bool Take(std::string_view expected) {
    const bool is_it = rest_.substr(0, expected.size()) == expected;
    if (is_it) rest_.remove_prefix(expected.size());
    return is_it;
  }
  char Next() {
    Require(!rest_.empty(), "the literal goes on");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  std::string Lexeme() {
    Require(Take("'"), "a quoted lexeme");
    std::string lexeme;
    for (;;) {
      const char c = Next();
      if (c == '\'' && !Take("'")) break;
      if (c == '\\') Require(Take("\\"), "an escaped backslash");
      lexeme += c;
    }
    Require(!lexeme.empty() && lexeme.size() <= kMaxWordBytes, "a lexeme's size");
    Require(IsTextOfPostgres(lexeme), "a lexeme is text");
    return lexeme;
  }
  std::size_t Number() {
    std::size_t number = 0;
    const std::size_t before = rest_.size();
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9' && before - rest_.size() < 6)
      number = 10 * number + static_cast<std::size_t>(Next() - '0');
    Require(rest_.size() < before, "a number");
    return number;
  }

 private:
  std::string_view rest_;
};

void CheckTsvector(const std::string& literal) {
  Require(literal.size() < 1024 * 1024, "a tsvector's size");
  Reader reader(literal);
  std::string last;
  std::set<std::size_t> places;
  while (!reader.is_at_end()) {
    Require(last.empty() || reader.Take(" "), "a space between lexemes");
    const std::string lexeme = reader.Lexeme();
    Require(last < lexeme, "lexemes stand in their order, each once");
    last = lexeme;
    std::size_t count = 0, last_place = 0;
    Require(reader.Take(":"), "places");
    do {
      const std::size_t place = reader.Number();
      Require(place > last_place && place <= kMaxTextWords, "places stand in their order, from 1 on");
      Require(places.insert(place).second, "one word at one place");
      last_place = place;
      ++count;
    } while (reader.Take(","));
    Require(count <= kMaxPlacesOfWord, "how many places");
  }
}

/// A tsquery whose operators are in parentheses, all of one kind in one pair.
class QueryReader {
 public:
  explicit QueryReader(const std::string& literal) : reader_(literal) {
    ReadPart(0);
    Require(reader_.is_at_end(), "one expression");
    Require(words_ <= kMaxSearchWords, "how many words");
  }

 private:
  void ReadPart(std::size_t depth) {
    // Each pair that was typed, the list of alternatives and of words in it, and a phrase.
    Require(depth <= 2 * (kMaxSearchDepth + 1) + 1, "how deep");
    while (reader_.Take("!")) Require(++negations_ <= kMaxSearchBytes, "how many negations");
    if (!reader_.Take("(")) return ReadWord();
    ReadPart(depth + 1);
    const std::string_view joint = reader_.Take(" <-> ") ? " <-> " : reader_.Take(" & ") ? " & " : " | ";
    Require(joint != " | " || reader_.Take(joint), "an operator");
    do {
      if (joint == " <-> ")
        ReadWord();
      else
        ReadPart(depth + 1);
    } while (reader_.Take(joint));
    Require(reader_.Take(")"), "the other parenthesis");
  }
  void ReadWord() {
    reader_.Lexeme();
    reader_.Take(":*");
    ++words_;
  }

  Reader reader_;
  std::size_t words_ = 0;
  std::size_t negations_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string vector = TsvectorOf(text);
  CheckTsvector(vector);
  const std::optional<TextSearch> search = ReadTextSearch(text);
  if (!search) return 0;
  QueryReader(TsqueryOf(*search));
  Require(!vector.empty() || size > kMaxTextBytes, "words are looked for only where there are some");
  return 0;
}
