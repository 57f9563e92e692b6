#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "rookery/xmpp/element.h"

namespace rookery::xmpp {

/// Result set management (XEP-0059) as values. Pure functions, any thread.

/// A page that somebody asks for with <set/>.
struct PageRequest {
  /// At most so many; 0: the count alone. Without it the responder chooses.
  std::optional<std::int64_t> max = {};
  /// The page behind this item.
  std::optional<std::string> after = {};
  /// The page in front of this item; empty: the last page.
  std::optional<std::string> before = {};
  /// The page from this number on.
  std::optional<std::int64_t> index = {};
};

/// Longest <after/> or <before/>: that of a full JID.
inline constexpr std::size_t kMaxPageUidBytes = 3071;

/// The <set/> of `parent`; nullopt: there is none. INVALID_ARGUMENT: a number is none, a UID is too long, or
/// more than one place is named.
absl::StatusOr<std::optional<PageRequest>> ReadPageRequest(const Element& parent);

/// The place of a page in the whole.
struct PageInfo {
  /// The UIDs of the page's first and last item. Empty: the page is.
  std::string first = {};
  std::string last = {};
  /// The number of the first one, where it is known.
  std::optional<std::int64_t> first_index = {};
  /// The number of items in the whole, where it is known.
  std::optional<std::int64_t> count = {};
};
Element MakePageInfo(const PageInfo& info);

/// A part of a list.
struct PageRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};
/// Returns the range for a request to a list of `count` items in memory. `max`: the most that is given,
/// whatever is asked for. `find`: the number of the item with a UID. NOT_FOUND: there is none.
absl::StatusOr<PageRange> RangeOf(const PageRequest& request, std::size_t count, std::size_t max,
                                  const std::function<std::optional<std::size_t>(std::string_view)>& find);

}  // namespace rookery::xmpp
