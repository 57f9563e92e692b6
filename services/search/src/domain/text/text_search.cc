#include "domain/text/text_search.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "domain/text/lexeme.h"
#include "rookery/base/absl_view.h"
#include "rookery/xmpp/text_words.h"

namespace rookery::search {
namespace {

using Kind = TextSearch::Kind;

struct Token {
  enum class Kind { kWords, kAnd, kOr, kNot, kOpen, kClose };
  Kind kind = Kind::kWords;
  /// Of an operator: the word that it is where there is nothing to join. A hyphen is none, and is only where
  /// it has something to negate.
  std::vector<SoughtWord> words = {};
};

/// Spaces and signs of other scripts and keyboards, as those of ASCII.
std::string WithPlainSigns(std::string_view typed) {
  return absl::StrReplaceAll(AbslView(typed), {{"\u00a0", " "},
                                               {"\u2009", " "},
                                               {"\u202f", " "},
                                               {"\u3000", " "},
                                               {"“", "\""},
                                               {"”", "\""},
                                               {"„", "\""},
                                               {"‟", "\""},
                                               {"«", "\""},
                                               {"»", "\""},
                                               {"「", "\""},
                                               {"」", "\""},
                                               {"『", "\""},
                                               {"』", "\""},
                                               {"＂", "\""},
                                               {"（", "("},
                                               {"）", ")"},
                                               {"＊", "*"},
                                               {"－", "-"}});
}

/// A word that is cut would be found nowhere.
std::string_view BeginningOf(std::string_view typed) {
  if (typed.size() <= kMaxSearchBytes) return typed;
  const std::string_view cut = typed.substr(0, kMaxSearchBytes);
  return cut.substr(0, cut.find_last_of(' '));
}

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }
/// Everything that is not ASCII counts as a letter.
bool IsLetter(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || absl::ascii_isalnum(byte);
}

class Tokenizer {
 public:
  explicit Tokenizer(std::string_view text) : text_(text) {}

  std::vector<Token> Read() {
    while (at_ < text_.size() && words_ < kMaxSearchWords) {
      if (IsSpace(text_[at_])) {
        ++at_;
      } else if (text_[at_] == '(' || text_[at_] == ')') {
        tokens_.push_back({text_[at_++] == '(' ? Token::Kind::kOpen : Token::Kind::kClose});
      } else if (IsHyphenOfNot()) {
        ++at_;
        ReadNot();
      } else {
        ReadWords();
      }
    }
    return std::move(tokens_);
  }

 private:
  bool IsAtStart() const { return at_ == 0 || IsSpace(text_[at_ - 1]) || text_[at_ - 1] == '('; }
  /// What follows is what is not wanted: "-ann", but not "- ann" and "--help".
  bool IsHyphenOfNot() const {
    if (text_[at_] != '-' || !IsAtStart() || at_ + 1 == text_.size()) return false;
    const char next = text_[at_ + 1];
    return next == '(' || next == '"' || IsLetter(next);
  }
  void ReadNot() {
    tokens_.push_back({Token::Kind::kNot});
    if (text_[at_] == '(') return;
    const std::size_t before = tokens_.size();
    ReadWords();
    if (tokens_.size() == before) {
      // It says nothing about what comes behind.
      tokens_.pop_back();
    } else {
      // An operator with a hyphen in front of it is a word.
      tokens_.back().kind = Token::Kind::kWords;
    }
  }

  void ReadWords() {
    const bool may_open = IsAtStart() || text_[at_ - 1] == '-';
    const std::size_t close = text_[at_] == '"' && may_open ? FindClose(at_ + 1) : std::string_view::npos;
    if (close == std::string_view::npos) return ReadBare();
    std::string_view quoted = text_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    Token token;
    while (!quoted.empty()) {
      const std::size_t end = FindSpace(quoted);
      AppendWords(token.words, quoted.substr(0, end));
      quoted.remove_prefix(std::min(end + 1, quoted.size()));
    }
    if (at_ < text_.size() && text_[at_] == '*') {
      ++at_;
      if (!token.words.empty()) token.words.back().is_prefix = true;
    }
    Keep(std::move(token));
  }
  /// A mark with a letter behind it is inside a word, as in Hebrew abbreviations.
  std::size_t FindClose(std::size_t from) const {
    for (std::size_t i = text_.find('"', from); i != std::string_view::npos; i = text_.find('"', i + 1))
      if (i + 1 == text_.size() || !IsLetter(text_[i + 1])) return i;
    return std::string_view::npos;
  }
  static std::size_t FindSpace(std::string_view text) {
    return static_cast<std::size_t>(std::find_if(text.begin(), text.end(), IsSpace) - text.begin());
  }

  /// What no space divides is side by side.
  void ReadBare() {
    std::size_t end = at_;
    while (end < text_.size() && !IsSpace(text_[end]) && text_[end] != '(' && text_[end] != ')') ++end;
    const std::string_view bare = text_.substr(at_, end - at_);
    at_ = end;
    Token token;
    AppendWords(token.words, bare);
    if (bare == "AND") token.kind = Token::Kind::kAnd;
    if (bare == "OR") token.kind = Token::Kind::kOr;
    if (bare == "NOT") token.kind = Token::Kind::kNot;
    Keep(std::move(token));
  }
  void AppendWords(std::vector<SoughtWord>& words, std::string_view text) {
    const std::vector<std::string> found = xmpp::WordsInText(
        text,
        {.text_bytes = kMaxSearchBytes, .words = kMaxSearchWords - words_, .word_bytes = kMaxWordBytes});
    words_ += found.size();
    for (const std::string& word : found) words.push_back({word});
    const bool is_prefix = text.size() > 1 && text.back() == '*' && IsLetter(text[text.size() - 2]);
    if (is_prefix && !found.empty()) words.back().is_prefix = true;
  }
  void Keep(Token token) {
    if (!token.words.empty()) tokens_.push_back(std::move(token));
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t words_ = 0;
  std::vector<Token> tokens_;
};

/// Takes parentheses out that have no other half or are too deep, each with the hyphen in front of it.
std::vector<Token> WithPairs(std::vector<Token> tokens) {
  std::vector<bool> is_out(tokens.size(), false);
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind == Token::Kind::kOpen) {
      is_out[i] = true;
      open.push_back(i);
    } else if (tokens[i].kind == Token::Kind::kClose) {
      is_out[i] = open.empty() || open.size() > kMaxSearchDepth;
      if (!is_out[i]) is_out[open.back()] = false;
      if (!open.empty()) open.pop_back();
    }
  }
  std::vector<Token> paired;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool is_before_one =
        i + 1 < tokens.size() && tokens[i + 1].kind == Token::Kind::kOpen && is_out[i + 1];
    const bool is_hyphen = tokens[i].kind == Token::Kind::kNot && tokens[i].words.empty();
    if (!is_out[i] && !(is_hyphen && is_before_one)) paired.push_back(std::move(tokens[i]));
  }
  return paired;
}

bool EndsPart(const Token& token) {
  return token.kind == Token::Kind::kWords || token.kind == Token::Kind::kClose;
}
bool BeginsPart(const Token& token) {
  return token.kind == Token::Kind::kWords || token.kind == Token::Kind::kOpen ||
         token.kind == Token::Kind::kNot;
}

/// Makes words of the operators that have nothing to join.
void FreeOperators(std::vector<Token>& tokens) {
  for (std::size_t i = tokens.size(); i-- > 0;) {
    const bool has_part = i + 1 < tokens.size() && BeginsPart(tokens[i + 1]);
    if (tokens[i].kind == Token::Kind::kNot && !has_part) tokens[i].kind = Token::Kind::kWords;
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind != Token::Kind::kAnd && tokens[i].kind != Token::Kind::kOr) continue;
    const bool joins = i > 0 && EndsPart(tokens[i - 1]) && i + 1 < tokens.size() && BeginsPart(tokens[i + 1]);
    if (!joins) tokens[i].kind = Token::Kind::kWords;
  }
}

/// Goes no deeper than the parentheses do.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::optional<TextSearch> ReadAny() {
    std::vector<TextSearch> parts;
    Add(parts, ReadAll());
    while (Take(Token::Kind::kOr)) Add(parts, ReadAll());
    return Join(Kind::kAny, std::move(parts));
  }

 private:
  bool Is(Token::Kind kind) const { return at_ < tokens_.size() && tokens_[at_].kind == kind; }
  bool Take(Token::Kind kind) {
    const bool is_it = Is(kind);
    if (is_it) ++at_;
    return is_it;
  }
  static void Add(std::vector<TextSearch>& parts, std::optional<TextSearch> part) {
    if (part) parts.push_back(*std::move(part));
  }
  static std::optional<TextSearch> Join(Kind kind, std::vector<TextSearch> parts) {
    if (parts.empty()) return std::nullopt;
    if (parts.size() == 1) return std::move(parts.front());
    return TextSearch{.kind = kind, .parts = std::move(parts)};
  }

  std::optional<TextSearch> ReadAll() {
    std::vector<TextSearch> parts;
    while (at_ < tokens_.size() && !Is(Token::Kind::kOr) && !Is(Token::Kind::kClose))
      if (!Take(Token::Kind::kAnd)) Add(parts, ReadPart());
    return Join(Kind::kAll, std::move(parts));
  }
  std::optional<TextSearch> ReadPart() {
    bool is_negated = false;
    while (Take(Token::Kind::kNot)) is_negated = !is_negated;
    std::optional<TextSearch> part;
    if (Take(Token::Kind::kOpen)) {
      part = ReadAny();
      Take(Token::Kind::kClose);
    } else if (Is(Token::Kind::kWords)) {
      part = TextSearch{.phrase = std::move(tokens_[at_++].words)};
    }
    if (!part || !is_negated) return part;
    TextSearch negated{.kind = Kind::kNot};
    negated.parts.push_back(*std::move(part));
    return negated;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Whether all that is found has a word that is asked for; `is_negated`: all that is not found by it.
bool NeedsAWord(const TextSearch& search, bool is_negated = false) {
  const auto part_needs_one = [&](const TextSearch& part) { return NeedsAWord(part, is_negated); };
  switch (search.kind) {
    case Kind::kPhrase:
      return !is_negated;
    case Kind::kNot:
      return NeedsAWord(search.parts.front(), !is_negated);
    case Kind::kAll:
    case Kind::kAny:
      break;
  }
  // What has not all has one not (De Morgan).
  const bool is_any = (search.kind == Kind::kAny) != is_negated;
  return is_any ? std::all_of(search.parts.begin(), search.parts.end(), part_needs_one)
                : std::any_of(search.parts.begin(), search.parts.end(), part_needs_one);
}

}  // namespace

std::optional<TextSearch> ReadTextSearch(std::string_view typed) {
  const std::string plain = WithPlainSigns(BeginningOf(typed));
  std::vector<Token> tokens = WithPairs(Tokenizer(plain).Read());
  FreeOperators(tokens);
  std::optional<TextSearch> search = Parser(std::move(tokens)).ReadAny();
  if (!search || !NeedsAWord(*search)) return std::nullopt;
  return search;
}

}  // namespace rookery::search
