#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/room/turn.h"
#include "rookery/xmpp/element.h"

namespace rookery::muc {

/// Helpers for use cases that are IQs.

/// Bytes of list items in one answer: with all the rest it fits into one record and one stanza.
inline constexpr std::size_t kMaxListBytes = std::size_t{128} << 10;
inline constexpr std::size_t kMaxListItems = 500;

/// Adds to `answer` the items that `asked` asks for with XEP-0059, all if it does not: those items of which
/// `uids` has the names in the list's order, each made by `make`, no more than the bounds above. Where that
/// is not the whole list or a page was asked for, <set/> says what it is. False: the turn has been refused,
/// as there is no such page.
bool AddItems(Turn& turn, const xmpp::Element& asked, const std::vector<std::string>& uids,
              const std::function<xmpp::Element(std::size_t)>& make, xmpp::Element& answer);

/// The nick by which others know the sender, or empty.
std::string NickOfSender(const Turn& turn);

}  // namespace rookery::muc
