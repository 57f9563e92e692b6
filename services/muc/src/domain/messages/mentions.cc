#include "domain/messages/mentions.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "domain/addresses.h"
#include "domain/room/occupant_message.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

namespace ns = xmpp::ns;

constexpr std::size_t kMaxMentions = 10;

int HexValue(char c) {
  if (absl::ascii_isdigit(static_cast<unsigned char>(c))) return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// RFC 5122, without an authority.
std::optional<xmpp::Jid> AddressOfUri(std::string_view uri) {
  constexpr std::string_view kScheme = "xmpp:";
  const bool is_xmpp = std::equal(
      kScheme.begin(), kScheme.end(), uri.begin(), uri.begin() + std::min(uri.size(), kScheme.size()),
      [](char a, char b) { return a == absl::ascii_tolower(static_cast<unsigned char>(b)); });
  if (!is_xmpp) return std::nullopt;
  uri.remove_prefix(kScheme.size());
  uri = uri.substr(0, uri.find_first_of("?#"));
  std::string text;
  for (std::size_t i = 0; i < uri.size(); ++i) {
    const bool is_encoded =
        uri[i] == '%' && i + 2 < uri.size() && HexValue(uri[i + 1]) >= 0 && HexValue(uri[i + 2]) >= 0;
    text.push_back(is_encoded ? static_cast<char>(HexValue(uri[i + 1]) * 16 + HexValue(uri[i + 2])) : uri[i]);
    if (is_encoded) i += 2;
  }
  auto address = xmpp::Jid::Parse(text);
  if (!address.ok()) return std::nullopt;
  return *std::move(address);
}

/// The account that is to hear of it, or an empty string.
std::string MentionedBy(const Turn& turn, const xmpp::Element& child) {
  const Room& room = turn.room;
  if (!child.Is("reference", ns::kReferences) || child.Attr("type") != "mention") return {};
  const std::optional<xmpp::Jid> address = AddressOfUri(child.Attr("uri"));
  if (!address) return {};
  const v1::Affiliated* affiliated = address->bare() == room.jid() ? room.FindReserved(address->resource())
                                                                   : room.FindAffiliated(address->bare());
  if (affiliated == nullptr || affiliated->affiliation() < v1::AFFILIATION_MEMBER) return {};
  const bool is_away = room.FindAccount(affiliated->jid()).empty();
  return is_away && !RefusalOfAddress(turn.settings, affiliated->jid()) ? affiliated->jid() : std::string();
}

Recipients MentionedIn(const Turn& turn, const xmpp::Stanza& message) {
  Recipients mentioned;
  const auto children = xmpp::ParsePayload(message.payload());
  if (!children.ok()) return mentioned;
  std::size_t references = 0;
  for (const xmpp::Element& child : *children) {
    if (child.ns() == ns::kReferences && ++references > kMaxMentions) break;
    std::string account = MentionedBy(turn, child);
    if (!account.empty() && std::find(mentioned.begin(), mentioned.end(), account) == mentioned.end())
      mentioned.push_back(std::move(account));
  }
  return mentioned;
}

}  // namespace

void ForwardMentions(Turn& turn, const v1::PastMessage& said) {
  if (!turn.room.config().forwards_mentions() || !MayHold(said.stanza(), ns::kReferences)) return;
  Recipients mentioned = MentionedIn(turn, said.stanza());
  // They are requests to people who may never have seen the room.
  if (mentioned.empty() || !CountRequests(turn, static_cast<std::int64_t>(mentioned.size()))) return;
  std::string payload;
  payload.append("<mentions xmlns=\"").append(ns::kMentions).append("\">");
  xmpp::AppendForwarded(payload, &said.stanza(), said.received_at_ms(), turn.room.jid());
  payload.append("</mentions>");
  xmpp::Stanza message = xmpp::MakeMessage({}, turn.room.jid(), {});
  message.set_payload(std::move(payload));
  message.set_traits(common::v1::STANZA_TRAIT_OTHER_PAYLOAD);
  turn.outcome.SendToEach(message, mentioned);
}

}  // namespace rookery::muc
