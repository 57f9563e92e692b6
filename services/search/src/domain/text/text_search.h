#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What a person types to search the archive (XEP-0431 leaves the language to the server).
namespace rookery::search {

/// Of what is typed. What stands behind is not looked for, so more may be found.
inline constexpr std::size_t kMaxSearchBytes = 1024;
/// With the operators.
inline constexpr std::size_t kMaxSearchWords = 64;
/// Parentheses that are deeper are none.
inline constexpr std::size_t kMaxSearchDepth = 16;

/// A word as it stands in the index (xmpp::WordsInText), or the beginning of one.
struct SoughtWord {
  std::string text;
  bool is_prefix = false;

  bool operator==(const SoughtWord&) const = default;
};

/// What a text must have to be found.
struct TextSearch {
  enum class Kind {
    kPhrase,  // `phrase`, its words side by side; one word is a phrase too
    kAll,     // all of `parts`, which are two or more
    kAny,     // any of `parts`, which are two or more
    kNot,     // not the one in `parts`
  };
  Kind kind = Kind::kPhrase;
  std::vector<SoughtWord> phrase = {};
  std::vector<TextSearch> parts = {};

  bool operator==(const TextSearch&) const = default;
};

/// Reads what was typed:
///
///   ann bob             both words; also ann AND bob
///   "ann bob"           side by side; also in marks such as “” „“ «» 「」
///   ann.bob             side by side, as is all that is several words without a space
///   ann*                words that begin so; also in a phrase
///   ann OR bob          one of them, or both
///   -ann                not this word; also NOT ann, -"ann bob", -(ann bob)
///   (ann OR bob) eve    parentheses
///
/// OR binds less than words side by side. Operators are capitals. Nothing is an error: quotation marks and
/// parentheses without their other half are not there, an operator that has nothing to join is a word, and a
/// hyphen or an asterisk elsewhere is a hyphen or an asterisk. Single quotation marks are apostrophes.
///
/// Nothing: there is nothing to look for. It has no words; or a text could be found that has none of the
/// words that are asked for ("-ann", "ann OR -bob"), which is no search but nearly the whole archive, and
/// which no index helps with. Thread-safe.
std::optional<TextSearch> ReadTextSearch(std::string_view typed);

}  // namespace rookery::search
