#include "domain/service/room_pages.h"

#include <algorithm>

namespace rookery::muc {

void Ask(RoomQuery& query, const std::optional<xmpp::PageRequest>& page) {
  query.max = kMaxRoomsOnPage;
  if (!page) return;
  query.max = std::min(page->max.value_or(kMaxRoomsOnPage), kMaxRoomsOnPage);
  query.after = page->after;
  query.before = page->before;
  query.index = page->index;
}

xmpp::Element InfoOf(const RoomPage& page) {
  xmpp::PageInfo info{.count = page.count};
  if (!page.rooms.empty()) {
    info.first = page.rooms.front().room;
    info.last = page.rooms.back().room;
    info.first_index = page.first_index;
  }
  return xmpp::MakePageInfo(info);
}

xmpp::Stanza ErrorOf(const xmpp::Stanza& request, const absl::Status& status) {
  return xmpp::MakeError(request, xmpp::ConditionOf(status));
}

}  // namespace rookery::muc
