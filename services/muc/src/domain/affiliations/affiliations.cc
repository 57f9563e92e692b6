#include "domain/affiliations/affiliations.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/affiliations/affiliation_versions.h"
#include "domain/affiliations/mediated_invitation.h"
#include "domain/occupants/presence.h"
#include "domain/occupants/unfinished.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

struct AffiliationChange {
  std::string_view jid;
  v1::Affiliation before;
  v1::Affiliation after;
  Deed deed;
  Courtesy courtesy;
  /// The room knew nothing of it.
  bool is_stranger = false;
  /// Of somebody who is in and stays.
  v1::Role role = v1::ROLE_NONE;
};

/// Occupants whose account it is, or of whose domain.
std::vector<std::string> NicksOf(const Room& room, std::string_view jid) {
  const bool is_domain = xmpp::DomainOf(jid) == jid;
  std::vector<std::string> nicks;
  for (const auto& [nick, occupant] : room.occupants()) {
    const std::string_view account = Room::AccountOf(occupant);
    if (account == jid || (is_domain && xmpp::DomainOf(account) == jid)) nicks.push_back(nick);
  }
  return nicks;
}

void AppendReason(std::string& out, const std::string& reason) {
  if (reason.empty()) return;
  out.append("<reason>");
  xmpp::AppendEscaped(out, reason);
  out.append("</reason>");
}

/// <item/> in a message, with these words.
std::string ItemOf(const AffiliationChange& change, const std::string& reason) {
  std::string item = "<item affiliation=\"";
  item.append(Name(change.after)).append("\" jid=\"");
  xmpp::AppendEscaped(item, change.jid);
  item.append("\" role=\"").append(Name(change.role)).append("\">");
  if (!change.deed.actor_nick.empty()) {
    item.append("<actor nick=\"");
    xmpp::AppendEscaped(item, change.deed.actor_nick);
    item.append("\"/>");
  }
  AppendReason(item, reason);
  return item.append("</item>");
}

xmpp::Stanza MessageWith(const Turn& turn, const std::string& children) {
  xmpp::Stanza message = xmpp::MakeMessage({}, turn.room.jid(), {});
  message.set_payload("<x xmlns=\"" + std::string(xmpp::ns::kMucUser) + "\">" + children + "</x>");
  message.set_traits(common::v1::STANZA_TRAIT_MUC_USER);
  return message;
}

/// Section 9.5: who may enter now, and had nothing to do with the room before, is invited. Where addresses
/// are not for everybody an admin who is not in has no name but the room's.
xmpp::Stanza InvitationOf(Turn& turn, const AffiliationChange& change) {
  const Room& room = turn.room;
  const std::string& nick = change.deed.actor_nick;
  const bool is_named = room.config().whois() == v1::AUDIENCE_ANYONE;
  const std::string as_occupant = nick.empty() ? room.jid() : room.AddressOf(nick);
  return MakeInvitation(turn, change.jid, is_named ? std::string(turn.sender()) : as_occupant);
}

/// The one whom it concerns, who is not in, and may never have been: so nobody hears words of an admin.
/// Section 9.3 wants nothing to be said to who is absent, section 9.5 an invitation, and 101 is a courtesy
/// (Implementation Notes, Services), which strangers are not shown. What one account has them told is
/// counted; beyond that they hear nothing.
void TellConcerned(Turn& turn, const AffiliationChange& change) {
  if (change.courtesy == Courtesy::kNone || RefusalOfAddress(turn.settings, change.jid)) return;
  const bool is_invited = turn.room.config().is_members_only() && change.before == v1::AFFILIATION_NONE &&
                          change.after >= v1::AFFILIATION_MEMBER;
  if ((!is_invited && change.is_stranger) || !CountRequests(turn, 1)) return;
  constexpr int kCode = static_cast<int>(Status::kAffiliationChangedAbsent);
  xmpp::Stanza message =
      is_invited ? InvitationOf(turn, change)
                 : MessageWith(turn, ItemOf(change, {}) + "<status code=\"" + std::to_string(kCode) + "\"/>");
  message.set_to(std::string(change.jid));
  turn.outcome.Send(std::move(message));
}

/// Who has heard of a change by presence: nobody, or moderators and the one whom it concerns.
enum class Told { kNobody, kModerators };

/// Tells those who see addresses of somebody whose presence tells them nothing, since it is not there or they
/// do not get it (sections 10.3, 10.6, 10.7; XEP-0463). For those who may not read the list of bans (section
/// 9.2) an outcast is somebody without an affiliation, and they hear that something has changed in any case.
void TellInMessage(Turn& turn, const AffiliationChange& change, Told told) {
  const Room& room = turn.room;
  const bool is_of_ban = change.before == v1::AFFILIATION_OUTCAST || change.after == v1::AFFILIATION_OUTCAST;
  Recipients admins;
  Recipients others;
  for (const auto& [nick, occupant] : room.occupants()) {
    const std::string_view account = Room::AccountOf(occupant);
    if (!SeesAddresses(room, occupant)) continue;
    if (told == Told::kModerators && (account == change.jid || occupant.role() == v1::ROLE_MODERATOR))
      continue;
    const bool is_admin = !is_of_ban || turn.AffiliationOf(account) >= v1::AFFILIATION_ADMIN;
    Recipients& recipients = is_admin ? admins : others;
    for (const v1::OccupantSession& session : occupant.sessions()) recipients.push_back(session.jid());
  }
  if (!admins.empty())
    turn.outcome.SendToAll(MessageWith(turn, ItemOf(change, change.deed.reason) + change.deed.extra),
                           std::move(admins));
  if (others.empty()) return;
  const auto shown = [](v1::Affiliation affiliation) {
    return affiliation == v1::AFFILIATION_OUTCAST ? v1::AFFILIATION_NONE : affiliation;
  };
  AffiliationChange for_others = change;
  for_others.after = shown(change.after);
  for_others.deed.actor_nick.clear();
  const bool is_seen = shown(change.before) != for_others.after;
  turn.outcome.SendToAll(
      MessageWith(turn, (is_seen ? ItemOf(for_others, {}) : std::string()) + change.deed.extra),
      std::move(others));
}

/// Section 5.1.3: what is gained is had at once; who is no admin any more has the role of who enters so; else
/// the role stays.
v1::Role RoleAfter(const v1::RoomConfig& config, v1::Role role, const AffiliationChange& change) {
  const v1::Role at_entrance = RoleAtEntrance(config, change.after);
  if (change.after >= v1::AFFILIATION_MEMBER && change.after > change.before)
    return std::max(role, at_entrance);
  const bool was_admin = change.before >= v1::AFFILIATION_ADMIN;
  return was_admin && change.after < v1::AFFILIATION_ADMIN ? at_entrance : role;
}

/// True: the occupant sees addresses now and has not before.
bool TellOfPresent(Turn& turn, const std::string& nick, const AffiliationChange& change) {
  Room& room = turn.room;
  Exit exit{.deed = change.deed, .affiliation = change.after};
  if (change.after == v1::AFFILIATION_OUTCAST) {
    exit.statuses = {Status::kBanned};
    RemoveOccupant(turn, nick, exit);
    return false;
  }
  if (room.config().is_members_only() && change.after < v1::AFFILIATION_MEMBER) {
    // Section 9.4: they hear that they go, and nothing before that.
    exit.statuses = {Status::kAffiliationChanged};
    RemoveOccupant(turn, nick, exit);
    return false;
  }
  v1::Occupant& occupant = *room.ChangeOccupant(nick);
  const bool saw_addresses = SeesAddresses(room, occupant);
  occupant.set_role(RoleAfter(room.config(), occupant.role(), change));
  BroadcastAvailable(turn, occupant, {}, change.deed);
  return !saw_addresses && SeesAddresses(room, occupant);
}

/// `count` says how many there are.
template <typename Count>
std::optional<xmpp::ErrorCondition> RefusalOf(const Turn& turn, std::int64_t added, Count count) {
  const bool fits =
      added <= 0 || static_cast<std::int64_t>(count()) + added <= turn.settings.max_affiliations;
  return fits ? std::nullopt : std::optional(xmpp::ErrorCondition::kResourceConstraint);
}

/// Section 7.2.4: an account that is a moderator now, and was none, learns who the others are.
void ShowAddressesTo(Turn& turn, std::string_view account) {
  v1::Unfinished addresses;
  addresses.set_kind(v1::Unfinished::KIND_ADDRESSES);
  addresses.set_account(std::string(account));
  Begin(turn, std::move(addresses));
}

/// Those whose domain has been banned.
void RemoveBanned(Turn& turn, const std::string& domain, const Deed& deed) {
  v1::Unfinished banned;
  banned.set_kind(v1::Unfinished::KIND_BANNED_DOMAIN);
  banned.set_domain(domain);
  banned.set_actor_nick(deed.actor_nick);
  banned.set_reason(deed.reason);
  banned.set_extra(deed.extra);
  Begin(turn, std::move(banned));
}

/// Section 9.1: also of those who are outcasts by their domain, and have a nick without an affiliation.
void TakeNicksOfDomain(Room& room, const std::string& domain) {
  std::vector<std::string> accounts;
  for (const auto& [jid, entry] : room.affiliations()) {
    const bool is_banned = jid != domain && xmpp::DomainOf(jid) == domain && !entry.nick().empty() &&
                           room.AffiliationOf(jid) == v1::AFFILIATION_OUTCAST;
    if (is_banned) accounts.push_back(jid);
  }
  for (const std::string& account : accounts) GiveNickUp(room, account);
}

}  // namespace

void SetAffiliation(Turn& turn, std::string_view jid_view, v1::Affiliation affiliation,
                    const std::string& actor_nick, const std::string& reason, Courtesy courtesy) {
  Room& room = turn.room;
  const std::string jid(jid_view);
  const v1::Affiliated* known = room.FindAffiliated(jid);
  const v1::Affiliation before = known == nullptr ? v1::AFFILIATION_NONE : known->affiliation();
  const bool is_stranger = known == nullptr || !IsRemembered(*known);
  if (before == affiliation) {
    if (affiliation == v1::AFFILIATION_NONE) GiveNickUp(room, jid);
    // Section 9.2: the list of bans has the newest reason.
    const bool has_new_reason =
        affiliation == v1::AFFILIATION_OUTCAST && !reason.empty() && known->reason() != reason;
    if (has_new_reason) room.ChangeAffiliated(jid).set_reason(reason);
    // An earlier account of the name may have been meant before.
    if (affiliation >= v1::AFFILIATION_MEMBER) room.ChangeAffiliated(jid).set_given_at_ms(turn.now_ms);
    return;
  }

  struct Present {
    std::string nick;
    std::string account;
    v1::Affiliation before;
  };
  std::vector<Present> present;
  for (std::string& nick : NicksOf(room, jid)) {
    const std::string account(Room::AccountOf(*room.FindNick(nick)));
    present.push_back({std::move(nick), account, turn.AffiliationOf(account)});
  }

  RaiseAffiliationVersion(room, jid);
  v1::Affiliated& entry = room.ChangeAffiliated(jid);
  entry.set_affiliation(affiliation);
  entry.set_given_at_ms(turn.now_ms);
  entry.set_is_without_voice(false);
  // The reason is shown with the list of bans.
  const bool is_outcast = affiliation == v1::AFFILIATION_OUTCAST;
  entry.set_reason(is_outcast ? reason : std::string());
  // Section 9.1: outcasts have no reserved nick; and what was got with membership goes with it.
  if (is_outcast || affiliation == v1::AFFILIATION_NONE) room.SetReservedNick(jid, {});

  const Deed deed{.actor_nick = actor_nick, .reason = reason, .extra = MarkOfChange(room)};
  const bool is_domain = xmpp::DomainOf(jid) == jid;
  if (is_domain && is_outcast) TakeNicksOfDomain(room, jid);
  bool is_told = false;
  // Others have had presence that says so.
  bool is_seen = false;
  bool learns_addresses = false;
  for (const Present& one : present) {
    // With the last one who goes, a temporary room does.
    if (!room.exists()) return;
    const v1::Affiliation after = turn.AffiliationOf(one.account);
    if (after == one.before) continue;
    is_told = true;
    const bool was_shown = room.FindNick(one.nick)->is_shown();
    const bool is_removed_later = is_domain && is_outcast;
    if (!is_removed_later)
      learns_addresses |= TellOfPresent(turn, one.nick, {one.account, one.before, after, deed, courtesy});
    // Who stays may be shown now and not before, or the other way round.
    const v1::Occupant* const occupant = room.FindNick(one.nick);
    is_seen = is_seen || (occupant == nullptr || is_removed_later ? was_shown : occupant->is_shown());
  }
  if (is_told && is_domain && is_outcast) RemoveBanned(turn, jid, deed);
  if (learns_addresses) ShowAddressesTo(turn, jid);
  if (!room.exists() || is_seen) return;
  AffiliationChange change{jid, before, affiliation, deed, courtesy, is_stranger};
  if (const auto occupants = room.FindAccount(jid); !occupants.empty())
    change.role = occupants.front()->role();
  TellInMessage(turn, change, is_told ? Told::kModerators : Told::kNobody);
  if (is_told) return;
  // Somebody who is in and remains what the operator has made them hears nothing.
  if (is_domain || present.empty()) TellConcerned(turn, change);
}

void GiveNickUp(Room& room, const std::string& jid) {
  const v1::Affiliated* entry = room.FindAffiliated(jid);
  if (entry == nullptr || entry->nick().empty()) return;
  room.SetReservedNick(jid, {});
  if (!IsRemembered(*entry) && entry->version() <= room.state().affiliation_horizon())
    room.ForgetAffiliated(jid);
}

void SetRole(Turn& turn, std::string_view nick, v1::Role role, const std::string& actor_nick,
             const std::string& reason) {
  const v1::Occupant* occupant = turn.room.FindNick(nick);
  if (occupant == nullptr || occupant->role() == role) return;
  const bool saw_addresses = SeesAddresses(turn.room, *occupant);
  turn.room.ChangeOccupant(nick)->set_role(role);
  BroadcastAvailable(turn, *occupant, {}, {.actor_nick = actor_nick, .reason = reason});
  if (!saw_addresses && SeesAddresses(turn.room, *occupant))
    ShowAddressesTo(turn, Room::AccountOf(*occupant));
}

std::optional<xmpp::ErrorCondition> RefusalOfMore(const Turn& turn, std::int64_t added, std::size_t bytes) {
  if ((added > 0 || bytes > 0) && turn.room.bytes() + bytes > turn.max_bytes())
    return xmpp::ErrorCondition::kResourceConstraint;
  const auto& affiliations = turn.room.affiliations();
  return RefusalOf(turn, added, [&] {
    return std::count_if(affiliations.begin(), affiliations.end(), [](const auto& entry) {
      return IsRemembered(entry.second) && entry.second.affiliation() != v1::AFFILIATION_OUTCAST;
    });
  });
}

std::optional<xmpp::ErrorCondition> RefusalOfMoreBans(const Turn& turn, std::int64_t added) {
  return RefusalOf(turn, added, [&] { return turn.room.CountOf(v1::AFFILIATION_OUTCAST); });
}

}  // namespace rookery::muc
