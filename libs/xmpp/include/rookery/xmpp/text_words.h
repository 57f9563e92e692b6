#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rookery::xmpp {

/// What is read of a text, in words and in bytes of UTF-8. The rest is no error: it is not there.
struct WordLimits {
  /// Of the text.
  std::size_t text_bytes;
  std::size_t words;
  /// Longer words are cut, between two characters, so that a word is still found by itself and by its
  /// beginning.
  std::size_t word_bytes;
};

/// The words of a text in their order, folded, for an index and for what is looked for in it: both must go
/// through this. Thread-safe.
///
/// Where words end says Unicode (UAX 29), or a dictionary where they are written without spaces (Chinese,
/// Japanese, Thai, Lao, Khmer, Burmese). They also end at signs that UAX 29 allows inside a word, so that
/// "l'arbre", "example.org" and "_this_" are found by "arbre", "example" and "this". A word has a letter, a
/// digit or an emoji; a sequence of emoji that is shown as one (a flag, a family) is one word.
///
/// Folded as by FoldForSearch; then what many people leave out when they type is taken off:
/// - accents of Latin, Greek and Cyrillic letters and strokes of Latin ones ("łódź" is "lodz", "ё" is "е"),
///   and whether an i has its dot, so that Turkish is found in either case;
/// - Arabic vowel signs, tatweel, and hamza and madda on alef; Hebrew points;
/// - the colour of an emoji's skin, and what encloses a character (a digit on a key).
/// Marks of other scripts make other letters, and stay.
///
/// What is not UTF-8 belongs to no word. Of marks on one character the first 30 count (UAX 15 section 13),
/// since the time that it takes to put them in order grows with the square of their number.
std::vector<std::string> WordsInText(std::string_view text, const WordLimits& limits);

}  // namespace rookery::xmpp
