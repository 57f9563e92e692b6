#pragma once

#include <optional>

#include "absl/status/status.h"
#include "ports/room_store.h"
#include "rookery/xmpp/rsm.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// Pages of the list of rooms (XEP-0059), by their addresses.

/// Rooms in one answer, at most.
inline constexpr std::int64_t kMaxRoomsOnPage = 100;

/// Asks for the page.
void Ask(RoomQuery& query, const std::optional<xmpp::PageRequest>& page);
/// What the page is of the whole.
xmpp::Element InfoOf(const RoomPage& page);
/// The error for a store's: what passes soon is of type `wait`.
xmpp::Stanza ErrorOf(const xmpp::Stanza& request, const absl::Status& status);

}  // namespace rookery::muc
