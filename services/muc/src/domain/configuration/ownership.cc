#include "domain/configuration/ownership.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "domain/affiliations/affiliations.h"
#include "domain/configuration/config_form.h"
#include "domain/occupants/presence.h"
#include "domain/occupants/unfinished.h"
#include "domain/room/pace.h"
#include "domain/room/request.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

constexpr std::uint32_t kEveryRole =
    1u << v1::ROLE_VISITOR | 1u << v1::ROLE_PARTICIPANT | 1u << v1::ROLE_MODERATOR;
/// The limit for the password of another room.
constexpr std::size_t kMaxPasswordBytes = 256;

using AffiliationChanges = std::vector<std::pair<std::string, v1::Affiliation>>;

using People = absl::flat_hash_set<std::string_view>;

People SetOf(const std::optional<std::vector<std::string>>& list) {
  return list ? People(list->begin(), list->end()) : People();
}

/// Returns what the lists of owners and admins, which are whole, change. An address in both is an owner; an
/// owner who is taken from the list is an admin then, and an admin a member where only members enter, or
/// nothing (section 10.2).
AffiliationChanges ChangesOf(const Room& room, const ConfigChange& change) {
  const v1::Affiliation below =
      change.config.is_members_only() ? v1::AFFILIATION_MEMBER : v1::AFFILIATION_NONE;
  const People owners = SetOf(change.owners);
  const People admins = SetOf(change.admins);
  AffiliationChanges changes;
  const auto add = [&](const std::string& jid, v1::Affiliation affiliation) {
    const v1::Affiliated* entry = room.FindAffiliated(jid);
    const v1::Affiliation present = entry == nullptr ? v1::AFFILIATION_NONE : entry->affiliation();
    if (present != affiliation) changes.emplace_back(jid, affiliation);
  };
  if (change.owners)
    for (const std::string& jid : *change.owners) add(jid, v1::AFFILIATION_OWNER);
  for (const auto& [jid, entry] : room.affiliations()) {
    if (owners.contains(jid)) continue;
    const bool is_listed = admins.contains(jid);
    if (entry.affiliation() == v1::AFFILIATION_OWNER && change.owners) {
      add(jid, is_listed || !change.admins ? v1::AFFILIATION_ADMIN : below);
    } else if (entry.affiliation() == v1::AFFILIATION_ADMIN && change.admins && !is_listed) {
      add(jid, below);
    }
  }
  if (!change.admins) return changes;
  for (const std::string& jid : *change.admins) {
    const v1::Affiliated* entry = room.FindAffiliated(jid);
    // Owners who are in the list of admins: that of the owners decides.
    const bool is_owner = entry != nullptr && entry->affiliation() == v1::AFFILIATION_OWNER;
    if (!is_owner && !owners.contains(jid)) add(jid, v1::AFFILIATION_ADMIN);
  }
  return changes;
}

std::optional<FormRefusal> RefusalOf(const Turn& turn, const ConfigChange& change,
                                     const AffiliationChanges& changes) {
  // Section 10.2: a room is never without an owner.
  if (change.owners && change.owners->empty()) return FormRefusal{ErrorCondition::kConflict};
  if (changes.size() > static_cast<std::size_t>(turn.settings.max_items)) return TooManyPeople();
  const auto added = std::count_if(changes.begin(), changes.end(), [&](const auto& one) {
    const v1::Affiliated* entry = turn.room.FindAffiliated(one.first);
    return entry == nullptr || !IsRemembered(*entry) || entry->affiliation() == v1::AFFILIATION_OUTCAST;
  });
  const auto refusal = RefusalOfMore(turn, added);
  return refusal ? std::optional(FormRefusal{*refusal}) : std::nullopt;
}

/// Section 10.2.1.
std::vector<int> StatusesOf(v1::RoomConfig before, const v1::RoomConfig& after, bool was_locked) {
  std::vector<int> codes;
  const auto add = [&](Status status) { codes.push_back(static_cast<int>(status)); };
  if (before.is_logged() != after.is_logged()) add(after.is_logged() ? Status::kLogged : Status::kNotLogged);
  if (before.whois() != after.whois())
    add(after.whois() == v1::AUDIENCE_ANYONE ? Status::kNonAnonymous : Status::kSemiAnonymous);
  before.set_is_logged(after.is_logged());
  before.set_whois(after.whois());
  // While it was new nobody knew it.
  if (!was_locked && before.SerializeAsString() != after.SerializeAsString())
    add(Status::kConfigurationChanged);
  return codes;
}

void Begin(Turn& turn, v1::Unfinished::Kind kind) {
  v1::Unfinished unfinished;
  unfinished.set_kind(kind);
  Begin(turn, std::move(unfinished));
}

void Apply(Turn& turn, const ConfigChange& change, const AffiliationChanges& changes) {
  Room& room = turn.room;
  const v1::RoomConfig before = room.config();
  const bool was_locked = room.state().is_locked();
  const std::string actor = NickOfSender(turn);
  room.ChangeState().set_is_locked(false);
  *room.ChangeState().mutable_config() = change.config;
  for (const auto& [jid, affiliation] : changes) {
    if (!room.exists()) return;
    SetAffiliation(turn, jid, affiliation, actor, {});
  }
  // Section 10.2: who may not be in a members-only room leaves it.
  if (room.exists() && change.config.is_members_only() && !before.is_members_only())
    Begin(turn, v1::Unfinished::KIND_NON_MEMBERS);
  // One that nobody is in is not kept for nobody.
  if (room.exists() && !change.config.is_persistent() && room.occupants().empty()) room.Destroy();
  if (!room.exists()) return;
  if (change.config.presence_broadcast() != before.presence_broadcast() ||
      change.config.has_chosen_presence_broadcast() != before.has_chosen_presence_broadcast())
    Begin(turn, v1::Unfinished::KIND_BROADCAST);
  // Section 7.2.3: of those who are in, too.
  if (change.config.whois() == v1::AUDIENCE_ANYONE && before.whois() != v1::AUDIENCE_ANYONE)
    Begin(turn, v1::Unfinished::KIND_ADDRESSES);
  const std::vector<int> codes = StatusesOf(before, change.config, was_locked);
  if (!codes.empty()) BroadcastStatuses(turn, codes);
}

void Submit(Turn& turn, const xmpp::Form& form) {
  ConfigChange change;
  if (const auto refusal = ReadConfig(turn, form, change))
    return turn.Refuse(refusal->condition, refusal->text);
  const AffiliationChanges changes = ChangesOf(turn.room, change);
  if (const auto refusal = RefusalOf(turn, change, changes))
    return turn.Refuse(refusal->condition, refusal->text);
  // Everybody is told of everybody.
  const v1::RoomConfig& before = turn.room.config();
  const bool reaches_all = change.config.presence_broadcast() != before.presence_broadcast() ||
                           change.config.whois() != before.whois();
  if (RefuseIfTooManyStanzas(turn, 1 + changes.size()) || (reaches_all && RefuseIfTooMany(turn, 1))) return;
  turn.Answer();
  Apply(turn, change, changes);
}

void OnForm(Turn& turn, const xmpp::Element& x) {
  const auto form = xmpp::ReadForm(x);
  if (!form.ok()) return turn.Refuse(ErrorCondition::kBadRequest);
  if (form->type == "submit") return Submit(turn, *form);
  if (form->type != "cancel") return turn.Refuse(ErrorCondition::kBadRequest);
  // Section 10.1.3: of a room that was never configured nothing remains.
  if (turn.room.state().is_locked()) DestroyRoom(turn, {.extra = "<destroy/>"});
  turn.Answer();
}

/// A child with text, as it is told to all. False: it is too long.
bool AppendText(const xmpp::Element& destroy, std::string_view name, std::size_t max_bytes,
                std::string& out) {
  const xmpp::Element* child = destroy.Find(name, xmpp::ns::kMucOwner);
  const std::string text = child == nullptr ? std::string() : child->Text();
  if (text.empty()) return true;
  out.append("<").append(name).append(">");
  xmpp::AppendEscaped(out, text);
  out.append("</").append(name).append(">");
  return text.size() <= max_bytes;
}

/// Section 10.9.
void OnDestroy(Turn& turn, const xmpp::Element& destroy) {
  std::string told = "<destroy";
  const std::string_view venue = destroy.Attr("jid");
  if (!venue.empty()) {
    const auto jid = xmpp::Jid::Parse(venue);
    if (!jid.ok()) return turn.Refuse(ErrorCondition::kJidMalformed);
    told.append(" jid=\"");
    xmpp::AppendEscaped(told, jid->bare());
    told.append("\"");
  }
  told.append(">");
  if (!AppendText(destroy, "password", kMaxPasswordBytes, told) ||
      !AppendText(destroy, "reason", static_cast<std::size_t>(turn.settings.max_reason_bytes), told))
    return turn.Refuse(ErrorCondition::kNotAcceptable);
  DestroyRoom(turn, {.extra = told + "</destroy>"});
  turn.Answer();
}

bool IsOwner(const Turn& turn) { return turn.AffiliationOf(turn.sender()) == v1::AFFILIATION_OWNER; }

}  // namespace

v1::RoomConfig DefaultConfig(const Settings& settings) {
  v1::RoomConfig config;
  config.set_is_public(true);
  config.set_whois(v1::AUDIENCE_MODERATORS);
  config.set_allow_pm(v1::AUDIENCE_ANYONE);
  config.set_presence_broadcast(kEveryRole);
  config.set_member_list_readers(kEveryRole);
  config.set_max_history_fetch(
      static_cast<std::uint32_t>(std::min(settings.history_messages, settings.max_history_messages)));
  return config;
}

void OnOwnerGet(Turn& turn) {
  if (!IsOwner(turn)) return turn.Refuse(ErrorCondition::kForbidden);
  xmpp::Element query("query", xmpp::ns::kMucOwner);
  query.Add(xmpp::WriteForm(ConfigFormOf(turn)));
  turn.Answer(query);
}

void OnOwnerSet(Turn& turn) {
  if (!IsOwner(turn)) return turn.Refuse(ErrorCondition::kForbidden);
  const xmpp::Element query = xmpp::OnlyChild(turn.stanza);
  const xmpp::Element* destroy = query.Find("destroy", xmpp::ns::kMucOwner);
  const xmpp::Element* x = query.Find("x", xmpp::ns::kDataForms);
  if ((destroy == nullptr) == (x == nullptr)) return turn.Refuse(ErrorCondition::kBadRequest);
  if (destroy != nullptr) return OnDestroy(turn, *destroy);
  OnForm(turn, *x);
}

}  // namespace rookery::muc
