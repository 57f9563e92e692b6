#include "domain/stanzas/room_disco.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "domain/affiliations/hats.h"
#include "domain/configuration/avatar.h"
#include "domain/messages/activity.h"
#include "domain/occupants/hat_list.h"
#include "domain/occupants/presence.h"
#include "domain/occupants/privileges.h"
#include "domain/room/request.h"
#include "rookery/xmpp/disco.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

constexpr std::string_view kRoomInfo = "http://jabber.org/protocol/muc#roominfo";
constexpr std::string_view kReservedNickNode = "x-roomuser-item";
constexpr std::string_view kTrafficNode = "http://jabber.org/protocol/muc#traffic";

constexpr std::string_view kFeatures[] = {
    xmpp::ns::kDiscoInfo,
    xmpp::ns::kDiscoItems,
    xmpp::ns::kMuc,
    "http://jabber.org/protocol/muc#register",
    "http://jabber.org/protocol/muc#request",
    "http://jabber.org/protocol/muc#roomconfig",
    kRoomInfo,
    "http://jabber.org/protocol/muc#stable_id",
    xmpp::ns::kMucSelfPing,
    xmpp::ns::kMucAffiliations,
    xmpp::ns::kOccupantId,
    xmpp::ns::kStanzaId,
    xmpp::ns::kRetract,
    "urn:xmpp:message-retract:1#tombstone",
    xmpp::ns::kModerate,
    xmpp::ns::kModerateLegacy,
    xmpp::ns::kHats,
    xmpp::ns::kCommands,
    xmpp::ns::kVcardTemp,
    xmpp::ns::kRegister,
    xmpp::ns::kPing,
    xmpp::ns::kRsm,
    xmpp::ns::kDataForms,
};

/// Adds the features of the room's type (section 6.4).
void AddTypeFeatures(const v1::RoomConfig& config, xmpp::Element& query) {
  const std::pair<bool, std::pair<std::string_view, std::string_view>> types[] = {
      {!config.password().empty(), {"muc_passwordprotected", "muc_unsecured"}},
      {config.is_public(), {"muc_public", "muc_hidden"}},
      {config.is_persistent(), {"muc_persistent", "muc_temporary"}},
      {config.is_members_only(), {"muc_membersonly", "muc_open"}},
      {config.is_moderated(), {"muc_moderated", "muc_unmoderated"}},
      {config.whois() == v1::AUDIENCE_ANYONE, {"muc_nonanonymous", "muc_semianonymous"}},
  };
  for (const auto& [is_so, names] : types) xmpp::AddFeature(query, is_so ? names.first : names.second);
  if (config.forwards_mentions()) xmpp::AddFeature(query, "urn:xmpp:mmn:0");
}

std::string SubjectOf(const Room& room) {
  const auto children = xmpp::ParsePayload(room.state().subject().stanza().payload());
  if (!children.ok()) return {};
  for (const xmpp::Element& child : *children)
    if (child.Is("subject", xmpp::ns::kClient)) return child.Text();
  return {};
}

std::string_view NameOf(v1::Audience audience) {
  switch (audience) {
    case v1::AUDIENCE_ANYONE:
      return "anyone";
    case v1::AUDIENCE_PARTICIPANTS:
      return "participants";
    case v1::AUDIENCE_MODERATORS:
      return "moderators";
    default:
      return "none";
  }
}

class RoomInfo {
 public:
  explicit RoomInfo(const Turn& turn) : turn_(turn) {
    form_.type = "result";
    form_.form_type = kRoomInfo;
  }

  xmpp::Element Make() {
    const Room& room = turn_.room;
    const v1::RoomConfig& config = room.config();
    Text("muc#roomconfig_roomname", "Name", config.name());
    Text("muc#roominfo_description", "Description", config.description());
    Text("muc#roominfo_lang", "Language of discussion", config.lang());
    for (const std::string& contact : config.contacts()) contacts_.push_back(contact);
    if (!contacts_.empty())
      form_.Add("muc#roominfo_contactjid", "jid-multi", "Addresses to turn to").values = std::move(contacts_);
    Text("muc#roominfo_logs", "Where the discussion can be read", config.logs_url());
    Text("muc#roominfo_ldapgroup", "LDAP group", config.ldap_group());
    Text("muc#roomconfig_pubsub", "Publish-subscribe node", config.pubsub_node());
    Text("muc#maxhistoryfetch", "Messages shown to who enters", std::to_string(config.max_history_fetch()));
    Boolean("muc#roominfo_subjectmod", "May participants change the subject?", config.change_subject());
    Boolean("muc#roomconfig_changesubject", "May participants change the subject?", config.change_subject());
    Boolean("muc#roomconfig_allowinvites", "May members invite others?", config.allow_invites());
    Text("muc#roomconfig_allowpm", "Who may send private messages?", std::string(NameOf(config.allow_pm())));
    Text("muc#roominfo_slow_mode_duration", "Seconds between two messages of one person",
         std::to_string(config.slow_mode_seconds()));
    AddInside();
    AddActivity();
    if (MayReadVcard(turn_, turn_.sender())) {
      std::vector<std::string> hashes = AvatarHashesOf(room);
      if (!hashes.empty())
        form_.Add("muc#roominfo_avatarhash", "text-multi", "Hashes of the avatar").values = std::move(hashes);
    }
    Text("hats#hash", "Hash of the hats", HashOfHats(room));
    return xmpp::WriteForm(form_);
  }

 private:
  void Text(std::string_view var, std::string_view label, std::string value) {
    if (!value.empty()) form_.Add(var, "text-single", label).values = {std::move(value)};
  }
  void Boolean(std::string_view var, std::string_view label, bool value) {
    form_.Add(var, "boolean", label).values = {value ? "1" : "0"};
  }
  /// Security Considerations, Information Leaks.
  void AddInside() {
    if (!MayLookInside(turn_, turn_.sender())) return;
    Text("muc#roominfo_subject", "Subject", SubjectOf(turn_.room));
    Text("muc#roominfo_occupants", "Occupants", std::to_string(turn_.room.occupants().size()));
  }
  /// XEP-0502 sections 3.1 and 8.
  void AddActivity() {
    const v1::RoomConfig& config = turn_.room.config();
    if (!config.is_persistent() || !config.is_public() || config.is_members_only() ||
        !config.password().empty())
      return;
    Text("{urn:xmpp:muc-activity}message-activity", "Messages per hour",
         absl::StrFormat("%.2f", MessagesPerHour(turn_.room, turn_.now_ms)));
  }

  const Turn& turn_;
  xmpp::Form form_;
  std::vector<std::string> contacts_;
};

void AnswerRoom(Turn& turn, xmpp::Element query) {
  const v1::RoomConfig& config = turn.room.config();
  xmpp::AddIdentity(
      query, "conference", "text",
      config.name().empty() ? turn.room.jid().substr(0, turn.room.jid().find('@')) : config.name());
  for (const std::string_view feature : kFeatures) xmpp::AddFeature(query, feature);
  AddTypeFeatures(config, query);
  query.Add(RoomInfo(turn).Make());
  turn.Answer(query);
}

/// Section 7.12: who has no nick gets an empty answer.
void AnswerReservedNick(Turn& turn, xmpp::Element query) {
  const v1::Affiliated* entry = turn.room.FindAffiliated(turn.sender());
  if (entry != nullptr && !entry->nick().empty())
    xmpp::AddIdentity(query, "conference", "text", entry->nick());
  turn.Answer(query);
}

/// The query of an answer: it repeats the node that was asked for (XEP-0030 sections 3.2 and 4.2).
xmpp::Element AnswerTo(const xmpp::Element& asked) {
  xmpp::Element query("query", asked.ns());
  if (const std::string* node = asked.FindAttr("node")) query.SetAttr("node", *node);
  return query;
}

}  // namespace

void OnDiscoInfo(Turn& turn) {
  const xmpp::Element asked = xmpp::OnlyChild(turn.stanza);
  const std::string_view node = asked.Attr("node");
  xmpp::Element query = AnswerTo(asked);
  if (node.empty()) return AnswerRoom(turn, std::move(query));
  if (node == kReservedNickNode) return AnswerReservedNick(turn, std::move(query));
  // Implementation Notes, Allowable Traffic: there is nothing that the room does not let through.
  if (node == kTrafficNode) return turn.Refuse(ErrorCondition::kServiceUnavailable);
  if (!AddCommandInfo(turn, node, query)) return turn.Refuse(ErrorCondition::kItemNotFound);
  turn.Answer(query);
}

void OnDiscoItems(Turn& turn) {
  const xmpp::Element asked = xmpp::OnlyChild(turn.stanza);
  const std::string_view node = asked.Attr("node");
  xmpp::Element query = AnswerTo(asked);
  if (node == xmpp::ns::kCommands) {
    AddCommandItems(turn, query);
    return turn.Answer(query);
  }
  if (!node.empty()) {
    // A command has no items.
    xmpp::Element info = query;
    if (!AddCommandInfo(turn, node, info)) return turn.Refuse(ErrorCondition::kItemNotFound);
    return turn.Answer(query);
  }
  const Room& room = turn.room;
  // Section 6.5: the list is private, and for those who have it anyway.
  const v1::Occupant* viewer = turn.occupant();
  if (viewer == nullptr) return turn.Answer(query);
  std::vector<std::string> nicks;
  for (const auto& [nick, occupant] : room.occupants())
    if (occupant.is_shown() || &occupant == viewer) nicks.push_back(nick);
  const auto make = [&](std::size_t i) {
    xmpp::Element item("item", xmpp::ns::kDiscoItems);
    item.SetAttr("jid", room.AddressOf(nicks[i])).SetAttr("name", nicks[i]);
    return item;
  };
  if (AddItems(turn, asked, nicks, make, query)) turn.Answer(query);
}

}  // namespace rookery::muc
