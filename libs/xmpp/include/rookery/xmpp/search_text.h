#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rookery::xmpp {

/// A form that texts have in common if they differ only in case, in width or in how their characters are
/// composed (Unicode's NFKC_Casefold). What is not UTF-8 stays. A word is in a text when the folded word is
/// in the folded text. Thread-safe.
std::string FoldForSearch(std::string_view text);

/// The words to look for, folded: what stands between white space and has a letter or a digit, each once, in
/// the order given. Thread-safe.
std::vector<std::string> SearchWordsOf(std::string_view text);

}  // namespace rookery::xmpp
