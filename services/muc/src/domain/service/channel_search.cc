#include "domain/service/channel_search.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/service/room_pages.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/rsm.h"

namespace rookery::muc::channel_search {

namespace {

using xmpp::ErrorCondition;
using xmpp::ErrorType;

constexpr std::string_view kFormType = "urn:xmpp:channel-search:0:search-params";
constexpr std::string_view kErrors = "urn:xmpp:channel-search:0:error";
constexpr std::string_view kByOccupants = "{urn:xmpp:channel-search:0:order}nusers";
constexpr std::string_view kByAddress = "{urn:xmpp:channel-search:0:order}address";
constexpr std::string_view kOpenAddresses = "{urn:xmpp:channel-search:0:anonymity}none";
constexpr std::string_view kServiceType = "xep-0045";
/// The XEP's table and its example differ.
constexpr std::string_view kInAddress = "sinaddress";
constexpr std::string_view kInAddressToo = "sinaddr";
// Bytes.
constexpr std::size_t kMaxText = 256;
/// Seconds. Those who search before have long been answered then.
constexpr std::string_view kRetryAfter = "5";

struct SearchRefusal {
  ErrorCondition condition;
  ErrorType type;
  std::string_view specific = {};
  std::string_view text = {};
  /// The fields that are in conflict.
  std::vector<std::string_view> vars = {};
  std::string_view retry_after = {};
};

xmpp::Stanza Refuse(const xmpp::Stanza& request, const SearchRefusal& refusal) {
  xmpp::Element error = xmpp::MakeErrorElement(refusal.condition, refusal.text, refusal.type);
  if (!refusal.specific.empty()) {
    xmpp::Element& specific = error.Add(refusal.specific, kErrors);
    for (const std::string_view var : refusal.vars) specific.Add("var").SetText(var);
    if (!refusal.retry_after.empty()) specific.SetAttr("retry-after", refusal.retry_after);
  }
  return xmpp::MakeError(request, error);
}

SearchRefusal BadRequest(std::string_view text = {}) {
  return {.condition = ErrorCondition::kBadRequest, .type = ErrorType::kModify, .text = text};
}

// Section 4.2.1.
xmpp::Element FormOf() {
  xmpp::Form form{.type = "form", .title = "Search for rooms", .form_type = std::string(kFormType)};
  form.Add("q", "text-single", "Search for");
  form.Add("all", "boolean", "List all rooms").values = {"false"};
  form.Add("sinname", "boolean", "Search in names").values = {"true"};
  form.Add("sindescription", "boolean", "Search in descriptions").values = {"true"};
  form.Add(kInAddress, "boolean", "Search in addresses").values = {"true"};
  form.Add("min_users", "text-single", "Least occupants").values = {"0"};
  xmpp::FormField& types = form.Add("types", "list-multi", "Kinds of rooms");
  types.values = {std::string(kServiceType)};
  types.options = {{"Multi-user chat", std::string(kServiceType)}};
  xmpp::FormField& key = form.Add("key", "list-single", "Order");
  key.values = {std::string(kByOccupants)};
  key.options = {{"Number of occupants", std::string(kByOccupants)}, {"Address", std::string(kByAddress)}};
  xmpp::Element search("search", kNamespace);
  search.Add(xmpp::WriteForm(form));
  return search;
}

/// False: the field is no boolean.
bool ReadBoolean(const xmpp::Form& form, std::string_view var, bool& value) {
  const xmpp::FormField* field = form.Find(var);
  if (field == nullptr) return true;
  const std::optional<bool> read = field->Boolean();
  value = read.value_or(value);
  return read.has_value();
}

/// The search. `is_nothing`: it is for rooms of another kind only.
struct Wanted {
  RoomQuery query = {};
  bool is_nothing = false;
};

std::optional<SearchRefusal> ReadWords(const xmpp::Form& form, RoomQuery& query) {
  const xmpp::FormField* q = form.Find("q");
  const std::optional<std::string_view> text = q == nullptr ? std::string_view() : q->Single();
  bool is_all = false;
  if (!text || !ReadBoolean(form, "all", is_all) || !ReadBoolean(form, "sinname", query.in_name) ||
      !ReadBoolean(form, "sindescription", query.in_description) ||
      !ReadBoolean(form, kInAddressToo, query.in_address) || !ReadBoolean(form, kInAddress, query.in_address))
    return BadRequest();
  if (is_all && !text->empty())
    return SearchRefusal{.condition = ErrorCondition::kBadRequest,
                         .type = ErrorType::kModify,
                         .specific = "conflicting-fields",
                         .text = "All rooms are asked for, and some by words.",
                         .vars = {"all", "q"}};
  // A field that is there and empty asks for as little as one that is not there.
  if (!is_all && text->empty())
    return SearchRefusal{.condition = ErrorCondition::kBadRequest,
                         .type = ErrorType::kCancel,
                         .specific = "no-search-conditions"};
  if (is_all) return std::nullopt;
  if (!query.in_name && !query.in_description && !query.in_address)
    return SearchRefusal{.condition = ErrorCondition::kBadRequest,
                         .type = ErrorType::kModify,
                         .specific = "conflicting-fields",
                         .text = "Words are looked for nowhere.",
                         .vars = {"q", "sinname", "sindescription", kInAddress}};
  query.text = *text;
  return std::nullopt;
}

std::optional<SearchRefusal> ReadOrder(const xmpp::Form& form, RoomQuery& query) {
  const xmpp::FormField* key = form.Find("key");
  query.sort_key = RoomQuery::SortKey::kOccupants;
  if (key == nullptr || key->Single() == kByOccupants) return std::nullopt;
  if (key->Single() == kByAddress) {
    query.sort_key = RoomQuery::SortKey::kAddress;
    return std::nullopt;
  }
  return SearchRefusal{.condition = ErrorCondition::kFeatureNotImplemented,
                       .type = ErrorType::kModify,
                       .specific = "invalid-sort-key"};
}

std::optional<SearchRefusal> Read(const xmpp::Form& form, Wanted& wanted) {
  if (form.type != "submit" || (!form.form_type.empty() && form.form_type != kFormType)) return BadRequest();
  if (const auto refusal = ReadWords(form, wanted.query)) return refusal;
  if (const auto refusal = ReadOrder(form, wanted.query)) return refusal;
  if (const xmpp::FormField* least = form.Find("min_users")) {
    const std::optional<std::int64_t> number = least->Number();
    if (!number) return BadRequest();
    wanted.query.min_occupants = *number;
  }
  if (const xmpp::FormField* types = form.Find("types"))
    wanted.is_nothing =
        std::find(types->values.begin(), types->values.end(), kServiceType) == types->values.end();
  return std::nullopt;
}

// Section 6.2.
xmpp::Element ItemOf(const ListedRoom& room) {
  xmpp::Element item("item", kNamespace);
  item.SetAttr("address", room.room);
  if (!room.name.empty()) item.Add("name").SetText(room.name);
  if (!room.description.empty()) item.Add("description").SetText(room.description);
  if (!room.lang.empty()) item.Add("language").SetText(room.lang);
  if (room.is_open) item.Add("nusers").SetText(std::to_string(room.occupants));
  item.Add("service-type").SetText(kServiceType);
  item.Add("is-open").SetText(room.is_open ? "true" : "false");
  item.Add("anonymity-mode").SetText(room.is_anonymous ? "muc_semianonymous" : kOpenAddresses);
  return item;
}

xmpp::Stanza ErrorOfSearch(const xmpp::Stanza& request, const absl::Status& status) {
  // Section 4.2.2.4: more searches than are made at a time.
  if (status.code() == absl::StatusCode::kResourceExhausted)
    return Refuse(request, {.condition = ErrorCondition::kResourceConstraint,
                            .type = ErrorType::kWait,
                            .specific = "rate-limit",
                            .retry_after = kRetryAfter});
  if (status.code() != absl::StatusCode::kInvalidArgument) return ErrorOf(request, status);
  return Refuse(request, {.condition = ErrorCondition::kBadRequest,
                          .type = ErrorType::kModify,
                          .specific = "invalid-search-terms",
                          .text = "There is nothing in these words that could be looked for."});
}

}  // namespace

Task<xmpp::Stanza> Answer(RoomLists& lists, xmpp::Stanza request, xmpp::Element search) {
  const xmpp::Element* x = search.Find("x", xmpp::ns::kDataForms);
  if (x == nullptr) co_return xmpp::MakeResult(request, FormOf());
  const auto form = xmpp::ReadForm(*x);
  const auto page_request = xmpp::ReadPageRequest(search);
  if (!form.ok() || !page_request.ok()) co_return Refuse(request, BadRequest());
  Wanted wanted;
  if (const auto refusal = Read(*form, wanted)) co_return Refuse(request, *refusal);
  if (wanted.query.text.size() > kMaxText)
    co_return ErrorOfSearch(request, absl::InvalidArgumentError("too long"));
  xmpp::Element result("result", kNamespace);
  if (wanted.is_nothing) co_return xmpp::MakeResult(request, result);
  wanted.query.service = request.to();
  Ask(wanted.query, *page_request);
  const bool is_backward = IsBackward(wanted.query);
  auto page = co_await lists.Read(request.from(), std::move(wanted.query));
  if (!page.ok()) co_return ErrorOfSearch(request, page.status());
  for (xmpp::Element& item : ItemsThatFit(*page, is_backward, ItemOf, kNamespace))
    result.Add(std::move(item));
  if (page->count > 0) result.Add(InfoOf(*page));
  co_return xmpp::MakeResult(request, result);
}

}  // namespace rookery::muc::channel_search
