#include "domain/service/service_desk.h"

#include <string>
#include <string_view>
#include <utility>

#include "domain/service/channel_search.h"
#include "domain/service/room_pages.h"
#include "rookery/xmpp/disco.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/rsm.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

constexpr std::string_view kName = "Rooms";
constexpr std::string_view kFeatures[] = {
    xmpp::ns::kDiscoInfo,
    xmpp::ns::kDiscoItems,
    xmpp::ns::kMuc,
    // XEP-0045 section 7.4 and XEP-0421 section 2: of the service, too.
    "http://jabber.org/protocol/muc#stable_id",
    xmpp::ns::kOccupantId,
    "muc_rooms",
    xmpp::ns::kRsm,
    channel_search::kNamespace,
    // XEP-0486 section 4.1: rooms have avatars.
    xmpp::ns::kVcardTemp,
    xmpp::ns::kPing,
    xmpp::ns::kVersion,
};

}  // namespace

Task<xmpp::Stanza> ServiceDesk::Answer(xmpp::Stanza request) {
  const xmpp::Element payload = xmpp::OnlyChild(request);
  const bool is_get = request.type() == "get";
  if (is_get && payload.Is("query", xmpp::ns::kDiscoInfo)) co_return AnswerInfo(request, payload);
  if (is_get && payload.Is("query", xmpp::ns::kDiscoItems)) {
    xmpp::Stanza answer = co_await AnswerItems(std::move(request), payload);
    co_return answer;
  }
  if (is_get && payload.Is("search", channel_search::kNamespace)) {
    xmpp::Stanza answer = co_await channel_search::Answer(lists_, std::move(request), payload);
    co_return answer;
  }
  if (is_get && payload.Is("ping", xmpp::ns::kPing)) co_return xmpp::MakeResult(request);
  if (is_get && payload.Is("query", xmpp::ns::kVersion)) {
    xmpp::Element query("query", xmpp::ns::kVersion);
    query.Add("name").SetText("Rookery");
    query.Add("version").SetText(settings_.version);
    co_return xmpp::MakeResult(request, query);
  }
  if (is_get && payload.Is("vCard", xmpp::ns::kVcardTemp)) {
    xmpp::Element vcard("vCard", xmpp::ns::kVcardTemp);
    vcard.Add("FN").SetText(kName);
    co_return xmpp::MakeResult(request, vcard);
  }
  co_return xmpp::MakeError(request, ErrorCondition::kServiceUnavailable);
}

xmpp::Stanza ServiceDesk::AnswerInfo(const xmpp::Stanza& request, const xmpp::Element& query) const {
  if (!query.Attr("node").empty()) return xmpp::MakeError(request, ErrorCondition::kItemNotFound);
  xmpp::Element info("query", xmpp::ns::kDiscoInfo);
  xmpp::AddIdentity(info, "conference", "text", kName);
  // XEP-0433 section 4.
  xmpp::AddIdentity(info, "directory", "chatroom", kName);
  for (const std::string_view feature : kFeatures) xmpp::AddFeature(info, feature);
  return xmpp::MakeResult(request, info);
}

Task<xmpp::Stanza> ServiceDesk::AnswerItems(xmpp::Stanza request, xmpp::Element query) {
  if (!query.Attr("node").empty()) co_return xmpp::MakeError(request, ErrorCondition::kItemNotFound);
  const auto page_request = xmpp::ReadPageRequest(query);
  if (!page_request.ok()) co_return xmpp::MakeError(request, ErrorCondition::kBadRequest);
  RoomQuery room_query;
  room_query.service = request.to();
  Ask(room_query, *page_request);
  const bool is_backward = IsBackward(room_query);
  auto page = co_await lists_.Read(request.from(), std::move(room_query));
  if (!page.ok()) co_return ErrorOf(request, page.status());
  xmpp::Element items("query", xmpp::ns::kDiscoItems);
  const auto item_of = [](const ListedRoom& room) {
    xmpp::Element item("item", xmpp::ns::kDiscoItems);
    item.SetAttr("jid", room.room);
    if (!room.name.empty()) item.SetAttr("name", room.name);
    return item;
  };
  for (xmpp::Element& item : ItemsThatFit(*page, is_backward, item_of, xmpp::ns::kDiscoItems))
    items.Add(std::move(item));
  // XEP-0045 section 6.3: who is not given all is told so.
  const bool is_whole = page->count == static_cast<std::int64_t>(page->rooms.size());
  if (page->count > 0 && (page_request->has_value() || !is_whole)) items.Add(InfoOf(*page));
  co_return xmpp::MakeResult(request, items);
}

std::optional<xmpp::Stanza> ServiceDesk::RefusalOf(const xmpp::Stanza& stanza) {
  const bool is_message = stanza.kind() == common::v1::STANZA_KIND_MESSAGE;
  if (!is_message || stanza.type() == "error" || stanza.type() == "headline") return std::nullopt;
  return xmpp::MakeError(stanza, ErrorCondition::kServiceUnavailable);
}

Task<std::optional<xmpp::Stanza>> ServiceDesk::Respond(xmpp::Stanza stanza) {
  const bool is_request =
      stanza.kind() == common::v1::STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set");
  if (!is_request) co_return RefusalOf(stanza);
  std::optional<xmpp::Stanza> answer = co_await Answer(std::move(stanza));
  co_return answer;
}

}  // namespace rookery::muc
