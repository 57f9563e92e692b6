#pragma once

#include <string_view>

#include "domain/service/room_lists.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

/// The search for public rooms (XEP-0433).
namespace rookery::muc::channel_search {

inline constexpr std::string_view kNamespace = "urn:xmpp:channel-search:0:search";

/// The answer to <search/> at the service: its form, or the rooms that the submitted form asks for, in pages
/// (XEP-0059). Errors as the XEP's section 4.2.2 has them, and those of the store.
Task<xmpp::Stanza> Answer(RoomLists& lists, xmpp::Stanza request, xmpp::Element search);

}  // namespace rookery::muc::channel_search
