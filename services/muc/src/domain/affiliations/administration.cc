#include "domain/affiliations/administration.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domain/affiliations/affiliations.h"
#include "domain/occupants/nicks.h"
#include "domain/occupants/presence.h"
#include "domain/occupants/privileges.h"
#include "domain/room/pace.h"
#include "domain/room/request.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

/// Stanzas to single recipients that the items of one request may lead to, about: they are all made with one
/// record, in one turn of the loop.
constexpr std::size_t kMaxDeliveriesOfItems = 200'000;

constexpr v1::Affiliation kAffiliations[] = {v1::AFFILIATION_NONE, v1::AFFILIATION_OUTCAST,
                                             v1::AFFILIATION_MEMBER, v1::AFFILIATION_ADMIN,
                                             v1::AFFILIATION_OWNER};
constexpr v1::Role kRoles[] = {v1::ROLE_NONE, v1::ROLE_VISITOR, v1::ROLE_PARTICIPANT, v1::ROLE_MODERATOR};

std::optional<v1::Affiliation> ParseAffiliation(std::string_view name) {
  for (const v1::Affiliation affiliation : kAffiliations)
    if (Name(affiliation) == name) return affiliation;
  return std::nullopt;
}

std::optional<v1::Role> ParseRole(std::string_view name) {
  for (const v1::Role role : kRoles)
    if (Name(role) == name) return role;
  return std::nullopt;
}

std::vector<const xmpp::Element*> ItemsOf(const xmpp::Element& query) {
  std::vector<const xmpp::Element*> items;
  for (const xmpp::Element& child : query.children())
    if (child.Is("item", xmpp::ns::kMucAdmin)) items.push_back(&child);
  return items;
}

// ---- lists ----------------------------------------------------------------------

void AnswerAffiliations(Turn& turn, const xmpp::Element& query, v1::Affiliation affiliation) {
  const Room& room = turn.room;
  if (!MayReadList(room, StandingOf(turn, turn.sender()), affiliation))
    return turn.Refuse(ErrorCondition::kForbidden);
  std::vector<std::string> jids;
  for (const auto& [jid, entry] : room.affiliations())
    if (entry.affiliation() == affiliation) jids.push_back(jid);
  std::map<std::string_view, std::string_view> nick_of;
  for (const auto& [nick, occupant] : room.occupants()) nick_of.emplace(Room::AccountOf(occupant), nick);

  // Business Rules, IQ: without a role; with a nick, if there is one.
  const auto make = [&](std::size_t i) {
    const v1::Affiliated& entry = *room.FindAffiliated(jids[i]);
    xmpp::Element item("item", xmpp::ns::kMucAdmin);
    item.SetAttr("affiliation", Name(affiliation)).SetAttr("jid", entry.jid());
    const auto present = nick_of.find(entry.jid());
    if (!entry.nick().empty()) {
      item.SetAttr("nick", entry.nick());
    } else if (present != nick_of.end()) {
      item.SetAttr("nick", present->second);
    }
    if (!entry.reason().empty()) item.Add("reason").SetText(entry.reason());
    return item;
  };
  xmpp::Element answer("query", xmpp::ns::kMucAdmin);
  if (AddItems(turn, query, jids, make, answer)) turn.Answer(answer);
}

void AnswerRoles(Turn& turn, const xmpp::Element& query, v1::Role role) {
  const Room& room = turn.room;
  if (!MayReadList(StandingOf(turn, turn.sender()), role)) return turn.Refuse(ErrorCondition::kForbidden);
  std::vector<std::string> nicks;
  for (const auto& [nick, occupant] : room.occupants())
    if (occupant.role() == role) nicks.push_back(nick);
  const auto make = [&](std::size_t i) {
    const v1::Occupant& occupant = *room.FindNick(nicks[i]);
    xmpp::Element item("item", xmpp::ns::kMucAdmin);
    item.SetAttr("affiliation", Name(turn.AffiliationOf(Room::AccountOf(occupant))))
        .SetAttr("jid", ShownSession(occupant).jid())
        .SetAttr("nick", occupant.nick())
        .SetAttr("role", Name(role));
    return item;
  };
  xmpp::Element answer("query", xmpp::ns::kMucAdmin);
  if (AddItems(turn, query, nicks, make, answer)) turn.Answer(answer);
}

// ---- changes --------------------------------------------------------------------

struct Change {
  /// For a role: the nick. For an affiliation: the bare JID, or a domain.
  std::string who = {};
  std::optional<v1::Role> role = {};
  std::optional<v1::Affiliation> affiliation = {};
  /// With membership: the nick that is reserved; empty: none any more.
  std::optional<std::string> reserved_nick = {};
  std::string reason = {};
};

/// Several changes, checked against each other and the room before the first is made: all or none (section
/// 9.2).
class AdminRequest {
 public:
  explicit AdminRequest(Turn& turn) : turn_(turn), actor_(StandingOf(turn, turn.sender())) {}

  /// The refusal, or nullopt.
  std::optional<ErrorCondition> Read(const std::vector<const xmpp::Element*>& items) {
    for (const xmpp::Element* item : items) {
      Change change;
      if (const auto refusal = Read(*item, change)) return refusal;
      // Of two changes of the same it would not be clear which one holds.
      const auto& already = change.role ? nicks_ : jids_;
      if (already.contains(change.who)) return ErrorCondition::kBadRequest;
      if (const auto refusal = change.role ? CheckRole(change) : CheckAffiliation(change)) return refusal;
      (change.role ? nicks_ : jids_).insert(change.who);
      changes_.push_back(std::move(change));
    }
    return CheckAll();
  }

  /// Those who are kicked hear of it first, then who has asked, then all others (section 8.2). The asker is
  /// told first of all else.
  void Make() {
    const std::string actor = NickOfSender(turn_);
    std::vector<std::pair<v1::Occupant, Exit>> kicked;
    for (const Change& change : changes_) {
      if (change.role != v1::ROLE_NONE) continue;
      const v1::Occupant& occupant = *turn_.room.FindNick(change.who);
      Exit exit{.statuses = {Status::kKicked},
                .deed = {.actor_nick = actor, .reason = change.reason},
                .affiliation = turn_.AffiliationOf(Room::AccountOf(occupant))};
      v1::Occupant gone = Expel(turn_, occupant, exit);
      kicked.emplace_back(std::move(gone), std::move(exit));
    }
    turn_.Answer();
    for (const auto& [gone, exit] : kicked) TellOthersGone(turn_, gone, exit);
    for (const Change& change : changes_) {
      // With the last occupant a temporary room has gone.
      if (!turn_.room.exists()) return;
      if (change.role == v1::ROLE_NONE) continue;
      if (change.role) {
        SetRole(turn_, change.who, *change.role, actor, change.reason);
        continue;
      }
      SetAffiliation(turn_, change.who, *change.affiliation, actor, change.reason);
      if (change.reserved_nick && turn_.room.exists())
        turn_.room.SetReservedNick(change.who, *change.reserved_nick);
    }
  }

 private:
  std::optional<ErrorCondition> Read(const xmpp::Element& item, Change& change) const {
    const std::string* role = item.FindAttr("role");
    const std::string* affiliation = item.FindAttr("affiliation");
    // Business Rules, IQ: never both of one.
    if ((role == nullptr) == (affiliation == nullptr)) return ErrorCondition::kBadRequest;
    if (const xmpp::Element* reason = item.Find("reason", xmpp::ns::kMucAdmin)) {
      change.reason = reason->Text();
      if (change.reason.size() > static_cast<std::size_t>(turn_.settings.max_reason_bytes))
        return ErrorCondition::kNotAcceptable;
    }
    return role != nullptr ? ReadRole(item, *role, change) : ReadAffiliation(item, *affiliation, change);
  }

  std::optional<ErrorCondition> ReadRole(const xmpp::Element& item, std::string_view role,
                                         Change& change) const {
    change.role = ParseRole(role);
    const std::string_view nick = item.Attr("nick");
    if (!change.role || nick.empty()) return ErrorCondition::kBadRequest;
    if (actor_.role != v1::ROLE_MODERATOR) return ErrorCondition::kForbidden;
    const auto prepared = xmpp::PrepareResource(nick);
    if (!prepared.ok() || turn_.room.FindNick(*prepared) == nullptr) return ErrorCondition::kItemNotFound;
    change.who = *prepared;
    return std::nullopt;
  }

  std::optional<ErrorCondition> ReadAffiliation(const xmpp::Element& item, std::string_view affiliation,
                                                Change& change) const {
    change.affiliation = ParseAffiliation(affiliation);
    const std::string_view jid = item.Attr("jid");
    if (!change.affiliation || jid.empty()) return ErrorCondition::kBadRequest;
    const auto parsed = xmpp::Jid::Parse(jid);
    if (!parsed.ok()) return ErrorCondition::kJidMalformed;
    // Sections 10.3 to 10.8: the bare JID of a full one.
    change.who = parsed->bare();
    const std::string* nick = item.FindAttr("nick");
    if (nick == nullptr || change.affiliation != v1::AFFILIATION_MEMBER) return std::nullopt;
    if (nick->empty()) {
      change.reserved_nick.emplace();
      return std::nullopt;
    }
    const auto prepared = xmpp::PrepareResource(*nick);
    if (!prepared.ok()) return ErrorCondition::kNotAcceptable;
    change.reserved_nick = *prepared;
    return std::nullopt;
  }

  std::optional<ErrorCondition> CheckRole(const Change& change) const {
    const v1::Occupant& occupant = *turn_.room.FindNick(change.who);
    const std::string_view account = Room::AccountOf(occupant);
    const Standing target{.affiliation = turn_.AffiliationOf(account), .role = occupant.role()};
    return RefusalOfRole(actor_, target, *change.role, account == turn_.sender());
  }

  std::optional<ErrorCondition> CheckAffiliation(const Change& change) {
    const v1::Affiliation wanted = *change.affiliation;
    const v1::Affiliated* known = turn_.room.FindAffiliated(change.who);
    const v1::Affiliation present = known == nullptr ? v1::AFFILIATION_NONE : known->affiliation();
    const bool is_self = change.who == turn_.sender();
    if (const auto refusal = RefusalOfAffiliation(actor_.affiliation, present, wanted, is_self))
      return refusal;
    const auto& administrators = turn_.settings.administrators;
    if (wanted == v1::AFFILIATION_OUTCAST &&
        std::find(administrators.begin(), administrators.end(), change.who) != administrators.end())
      return ErrorCondition::kNotAllowed;
    // Section 9.2 knows domains as what is banned, and the room itself is nobody.
    const bool is_domain = xmpp::DomainOf(change.who) == change.who;
    if ((is_domain && wanted >= v1::AFFILIATION_MEMBER) || change.who == turn_.room.jid())
      return ErrorCondition::kNotAcceptable;
    if (change.reserved_nick && !change.reserved_nick->empty()) {
      if (const auto refusal = RefusalOfNick(turn_, *change.reserved_nick, change.who)) return refusal;
      if (!reserved_.insert(*change.reserved_nick).second) return ErrorCondition::kConflict;
    }
    owners_ += (wanted == v1::AFFILIATION_OWNER) - (present == v1::AFFILIATION_OWNER);
    if (wanted == v1::AFFILIATION_NONE) return std::nullopt;
    const bool is_new = known == nullptr || !IsRemembered(*known);
    if (wanted == v1::AFFILIATION_OUTCAST) {
      banned_ += present != v1::AFFILIATION_OUTCAST;
      // A reason is kept with a ban only.
      added_bytes_ += change.reason.size();
    } else {
      added_ += is_new || present == v1::AFFILIATION_OUTCAST;
    }
    if (is_new) added_bytes_ += 512 + 3 * change.who.size();
    if (change.reserved_nick) added_bytes_ += 5 * change.reserved_nick->size();
    return std::nullopt;
  }

  std::optional<ErrorCondition> CheckAll() const {
    const auto count = static_cast<std::int64_t>(turn_.room.CountOf(v1::AFFILIATION_OWNER));
    // Section 10.4: a room is never without an owner.
    if (owners_ < 0 && count + owners_ <= 0) return ErrorCondition::kConflict;
    if (const auto refusal = RefusalOfMore(turn_, added_, added_bytes_)) return refusal;
    return RefusalOfMoreBans(turn_, banned_);
  }

  Turn& turn_;
  const Standing actor_;
  std::vector<Change> changes_;
  std::set<std::string> nicks_;
  std::set<std::string> jids_;
  std::set<std::string> reserved_;
  /// How many owners, entries and bans there are more then.
  std::int64_t owners_ = 0;
  std::int64_t added_ = 0;
  std::int64_t banned_ = 0;
  std::size_t added_bytes_ = 0;
};

}  // namespace

void OnAdminGet(Turn& turn) {
  const xmpp::Element query = xmpp::OnlyChild(turn.stanza);
  const std::vector<const xmpp::Element*> items = ItemsOf(query);
  if (items.size() != 1) return turn.Refuse(ErrorCondition::kBadRequest);
  const std::string* role = items.front()->FindAttr("role");
  const std::string* affiliation = items.front()->FindAttr("affiliation");
  if ((role == nullptr) == (affiliation == nullptr)) return turn.Refuse(ErrorCondition::kBadRequest);
  // There is no list of those who are nothing (section 5.2).
  if (role != nullptr) {
    const auto parsed = ParseRole(*role);
    if (!parsed || parsed == v1::ROLE_NONE) return turn.Refuse(ErrorCondition::kBadRequest);
    return AnswerRoles(turn, query, *parsed);
  }
  const auto parsed = ParseAffiliation(*affiliation);
  if (!parsed || parsed == v1::AFFILIATION_NONE) return turn.Refuse(ErrorCondition::kBadRequest);
  AnswerAffiliations(turn, query, *parsed);
}

void OnAdminSet(Turn& turn) {
  const xmpp::Element query = xmpp::OnlyChild(turn.stanza);
  const std::vector<const xmpp::Element*> items = ItemsOf(query);
  if (items.empty()) return turn.Refuse(ErrorCondition::kBadRequest);
  if (items.size() > static_cast<std::size_t>(turn.settings.max_items))
    return turn.Refuse(ErrorCondition::kNotAcceptable, "Too many items in one request.");
  // Each may be told to all.
  if (items.size() > 1 && items.size() * turn.room.session_count() > kMaxDeliveriesOfItems)
    return turn.Refuse(ErrorCondition::kNotAcceptable, "Too many items in one request to such a large room.");
  AdminRequest request(turn);
  if (const auto refusal = request.Read(items)) return turn.Refuse(*refusal);
  if (RefuseIfTooManyStanzas(turn, items.size())) return;
  request.Make();
}

}  // namespace rookery::muc
