#include "domain/room/request.h"

#include <algorithm>
#include <utility>

#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/rsm.h"

namespace rookery::muc {

bool AddItems(Turn& turn, const xmpp::Element& asked, const std::vector<std::string>& uids,
              const std::function<xmpp::Element(std::size_t)>& make, xmpp::Element& answer) {
  const auto request = xmpp::ReadPageRequest(asked);
  if (!request.ok()) {
    turn.Refuse(xmpp::ErrorCondition::kBadRequest);
    return false;
  }
  const auto range = xmpp::RangeOf(request->value_or(xmpp::PageRequest{}), uids.size(), kMaxListItems,
                                   [&](std::string_view uid) -> std::optional<std::size_t> {
                                     const auto it = std::find(uids.begin(), uids.end(), uid);
                                     if (it == uids.end()) return std::nullopt;
                                     return static_cast<std::size_t>(it - uids.begin());
                                   });
  if (!range.ok()) {
    turn.Refuse(xmpp::ErrorCondition::kItemNotFound);
    return false;
  }
  // A page in front of an item ends there, whatever its size; any other begins where it was asked to.
  const bool is_backwards = request->has_value() && (*request)->before.has_value();
  std::vector<xmpp::Element> items;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < range->end - range->begin; ++i) {
    xmpp::Element item = make(is_backwards ? range->end - 1 - i : range->begin + i);
    bytes += item.ToXml(answer.ns()).size();
    if (bytes > kMaxListBytes && !items.empty()) break;
    items.push_back(std::move(item));
  }
  const std::size_t begin = is_backwards ? range->end - items.size() : range->begin;
  if (is_backwards) std::reverse(items.begin(), items.end());
  const std::size_t count = items.size();
  for (xmpp::Element& item : items) answer.Add(std::move(item));
  if (!request->has_value() && count == uids.size()) return true;
  // There is no page of nothing at all (XEP-0059 section 2.2).
  if (uids.empty()) return true;
  xmpp::PageInfo info{.count = static_cast<std::int64_t>(uids.size())};
  if (count > 0) {
    info.first = uids[begin];
    info.last = uids[begin + count - 1];
    info.first_index = static_cast<std::int64_t>(begin);
  }
  answer.Add(xmpp::MakePageInfo(info));
  return true;
}

std::string NickOfSender(const Turn& turn) {
  if (const v1::Occupant* occupant = turn.occupant()) return occupant->nick();
  const auto occupants = turn.room.FindAccount(turn.sender());
  return occupants.empty() ? std::string() : occupants.front()->nick();
}

}  // namespace rookery::muc
