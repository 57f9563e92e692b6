#include "domain/room/occupant_message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using common::v1::STANZA_TRAIT_BODY;
using common::v1::STANZA_TRAIT_DELAY;
using common::v1::STANZA_TRAIT_MUC_USER;
using common::v1::STANZA_TRAIT_OTHER_PAYLOAD;
using common::v1::STANZA_TRAIT_STANZA_ID;
namespace ns = xmpp::ns;

/// Room for the ids that are added to a payload.
constexpr std::size_t kBytesOfIds = 320;

/// Elements that the edge does not tell apart from other payload.
constexpr std::array<std::string_view, 8> kOnlyTheRoomSays = {
    ns::kOccupantId, ns::kHats,           ns::kMentions, "<retracted",
    ns::kModerate,   ns::kModerateLegacy, "\"ofrom\"",   "jabber.org/protocol/muc\""};

bool MayHoldWhatOnlyTheRoomSays(const xmpp::Stanza& message) {
  if ((message.traits() & (STANZA_TRAIT_STANZA_ID | STANZA_TRAIT_DELAY | STANZA_TRAIT_MUC_USER)) != 0)
    return true;
  return std::any_of(kOnlyTheRoomSays.begin(), kOnlyTheRoomSays.end(),
                     [&](std::string_view name) { return MayHold(message, name); });
}

bool IsIdOfRoomOrSender(const Turn& turn, std::string_view by) {
  // Prepared: no spelling of an address passes for somebody else's.
  const auto address = xmpp::Jid::Parse(by);
  return address.ok() && (address->bare() == turn.room.jid() || address->bare() == turn.sender());
}

/// Without `from` it would pass for the room's, who delivers it. One in the sender's own name tells when
/// something was said elsewhere; in others' names an owner brings a conversation along (XEP-0045
/// section 7.9).
bool IsDelayOfAnother(const Turn& turn, std::string_view from) {
  if (from.empty()) return true;
  const auto address = xmpp::Jid::Parse(from);
  if (!address.ok() || address->bare() == turn.room.jid() || address->str() == turn.room.service())
    return true;
  return address->bare() != turn.sender() && turn.AffiliationOf(turn.sender()) != v1::AFFILIATION_OWNER;
}

bool OnlyTheRoomSays(const Turn& turn, const xmpp::Element& child) {
  if (child.Is("stanza-id", ns::kStanzaId)) return IsIdOfRoomOrSender(turn, child.Attr("by"));
  if (child.Is("delay", ns::kDelay) || child.Is("x", ns::kLegacyDelay))
    return IsDelayOfAnother(turn, child.Attr("from"));
  if (child.Is("retracted", ns::kRetract)) return true;
  if (child.ns() == ns::kAddresses)
    return std::any_of(child.children().begin(), child.children().end(),
                       [](const xmpp::Element& address) { return address.Attr("type") == "ofrom"; });
  const std::string& of = child.ns();
  return child.name().empty() || of == ns::kMuc || of == ns::kMucUser || of == ns::kOccupantId ||
         of == ns::kHats || of == ns::kMentions || of == ns::kModerate || of == ns::kModerateLegacy;
}

void RemoveWhatOnlyTheRoomSays(const Turn& turn, xmpp::Stanza& message) {
  auto children = xmpp::ParsePayload(message.payload());
  xmpp::ClearPayload(message);
  if (!children.ok()) return;
  for (xmpp::Element& child : *children)
    if (LeaveWhatOccupantsSay(turn, child)) xmpp::AddPayload(message, child);
}

}  // namespace

bool LeaveWhatOccupantsSay(const Turn& turn, xmpp::Element& child) {
  if (OnlyTheRoomSays(turn, child)) return false;
  // A retraction of one's own does not claim to be a moderator's (XEP-0425 section 6).
  if (child.ns() == ns::kRetract || child.ns() == ns::kFastening)
    std::erase_if(child.children(), [](const xmpp::Element& part) {
      return part.ns() == ns::kModerate || part.ns() == ns::kModerateLegacy;
    });
  return true;
}

bool MayHold(const xmpp::Stanza& message, std::string_view name) {
  return xmpp::Has(message, STANZA_TRAIT_OTHER_PAYLOAD) && message.payload().find(name) != std::string::npos;
}

bool IsSubjectChange(const xmpp::Stanza& message) {
  if (xmpp::Has(message, STANZA_TRAIT_BODY) || !MayHold(message, "<subject")) return false;
  const auto children = xmpp::ParsePayload(message.payload());
  if (!children.ok()) return false;
  bool has_subject = false;
  for (const xmpp::Element& child : *children) {
    // A body in which nothing is said is none.
    if (child.Is("thread", ns::kClient)) return false;
    has_subject = has_subject || child.Is("subject", ns::kClient);
  }
  return has_subject;
}

bool RefuseIfTooLarge(const Turn& turn) {
  const xmpp::Stanza& message = turn.stanza;
  const std::size_t bytes = message.payload().size() + message.id().size() + message.lang().size();
  if (bytes <= static_cast<std::size_t>(turn.settings.max_message_bytes)) return false;
  turn.Refuse(xmpp::ErrorCondition::kPolicyViolation, "The message is too large");
  return true;
}

xmpp::Stanza MessageFrom(const Turn& turn, const v1::Occupant& occupant) {
  xmpp::Stanza message = turn.stanza;
  message.clear_to();
  message.set_from(turn.room.AddressOf(occupant.nick()));
  if (MayHoldWhatOnlyTheRoomSays(message)) RemoveWhatOnlyTheRoomSays(turn, message);
  std::string& payload = *message.mutable_payload();
  payload.reserve(payload.size() + kBytesOfIds);
  payload.append("<occupant-id xmlns=\"").append(ns::kOccupantId).append("\" id=\"");
  xmpp::AppendEscaped(payload, occupant.occupant_id());
  payload.append("\"/>");
  message.set_traits(message.traits() | STANZA_TRAIT_OTHER_PAYLOAD);
  return message;
}

void AddArchiveId(xmpp::Stanza& message, std::string_view room, std::uint64_t archive_id) {
  std::string& payload = *message.mutable_payload();
  payload.append("<stanza-id xmlns=\"").append(ns::kStanzaId).append("\" id=\"");
  payload.append(std::to_string(archive_id)).append("\" by=\"");
  xmpp::AppendEscaped(payload, room);
  payload.append("\"/>");
  message.set_traits(message.traits() | STANZA_TRAIT_STANZA_ID);
}

}  // namespace rookery::muc
