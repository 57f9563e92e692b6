#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "ports/room_store.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/rsm.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// Pages of the list of rooms (XEP-0059), by their addresses.

/// Rooms in one answer, at most.
inline constexpr std::int64_t kMaxRoomsOnPage = 100;
/// And bytes of them, but for the first one's.
inline constexpr std::size_t kMaxPageBytes = std::size_t{128} << 10;

/// Asks for the page.
void Ask(RoomQuery& query, const std::optional<xmpp::PageRequest>& page);
/// Whether the page is one in front of a room, or the last one.
bool IsBackward(const RoomQuery& query);
/// The page's rooms as items of an answer in the namespace `ns`, as many as it takes; the others are taken
/// from the page. One in front of a room ends there, any other begins where it was asked to.
std::vector<xmpp::Element> ItemsThatFit(RoomPage& page, bool is_backward,
                                        absl::FunctionRef<xmpp::Element(const ListedRoom&)> item_of,
                                        std::string_view ns);
/// Returns the place of the page in the whole.
xmpp::Element InfoOf(const RoomPage& page);
/// The error for a store's: what passes soon is of type `wait`.
xmpp::Stanza ErrorOf(const xmpp::Stanza& request, const absl::Status& status);

}  // namespace rookery::muc
