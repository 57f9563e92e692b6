#include "domain/service/room_pages.h"

#include <algorithm>
#include <utility>

namespace rookery::muc {

void Ask(RoomQuery& query, const std::optional<xmpp::PageRequest>& page) {
  query.max = kMaxRoomsOnPage;
  if (!page) return;
  query.max = std::min(page->max.value_or(kMaxRoomsOnPage), kMaxRoomsOnPage);
  query.after = page->after;
  query.before = page->before;
  query.index = page->index;
}

bool IsBackward(const RoomQuery& query) { return !query.index && query.before; }

std::vector<xmpp::Element> ItemsThatFit(RoomPage& page, bool is_backward,
                                        absl::FunctionRef<xmpp::Element(const ListedRoom&)> item_of,
                                        std::string_view ns) {
  std::vector<xmpp::Element> items;
  const std::size_t rooms = page.rooms.size();
  std::size_t bytes = 0;
  while (items.size() < rooms) {
    const std::size_t at = is_backward ? rooms - 1 - items.size() : items.size();
    xmpp::Element item = item_of(page.rooms[at]);
    bytes += item.ToXml(ns).size();
    if (bytes > kMaxPageBytes && !items.empty()) break;
    items.push_back(std::move(item));
  }
  const auto left_out = static_cast<std::ptrdiff_t>(rooms - items.size());
  if (is_backward) {
    std::reverse(items.begin(), items.end());
    page.rooms.erase(page.rooms.begin(), page.rooms.begin() + left_out);
    if (page.first_index) *page.first_index += left_out;
  } else {
    page.rooms.erase(page.rooms.end() - left_out, page.rooms.end());
  }
  return items;
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
