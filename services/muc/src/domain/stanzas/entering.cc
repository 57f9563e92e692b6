#include "domain/stanzas/entering.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/affiliations/affiliation_versions.h"
#include "domain/configuration/avatar.h"
#include "domain/configuration/ownership.h"
#include "domain/messages/history.h"
#include "domain/messages/subject.h"
#include "domain/occupants/nicks.h"
#include "domain/occupants/presence.h"
#include "domain/occupants/voice.h"
#include "domain/room/pace.h"
#include "rookery/base/scram.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;
using xmpp::ErrorType;

struct EntryRefusal {
  ErrorCondition condition;
  std::string_view text = {};
  std::optional<ErrorType> type = {};
};
void Refuse(const Turn& turn, const EntryRefusal& refusal) {
  turn.Refuse(refusal.condition, refusal.text, refusal.type);
}

constexpr EntryRefusal kTooManyChanges{ErrorCondition::kResourceConstraint,
                                       "Too many joins and changes of nick"};

/// <x xmlns='http://jabber.org/protocol/muc'/>, by which a client says that it enters.
std::optional<xmpp::Element> FindMuc(const xmpp::Stanza& stanza) {
  if (!MaySayMuc(stanza)) return std::nullopt;
  auto children = xmpp::ParsePayload(stanza.payload());
  if (!children.ok()) return std::nullopt;
  for (xmpp::Element& child : *children)
    if (child.Is("x", xmpp::ns::kMuc)) return std::move(child);
  return std::nullopt;
}

std::string PasswordIn(const std::optional<xmpp::Element>& muc) {
  const xmpp::Element* password = muc ? muc->Find("password", xmpp::ns::kMuc) : nullptr;
  return password == nullptr ? std::string() : password->Text();
}

bool MayCreate(const Turn& turn) {
  const std::string_view sender = turn.sender();
  const auto& administrators = turn.settings.administrators;
  if (std::find(administrators.begin(), administrators.end(), sender) != administrators.end()) return true;
  switch (turn.settings.creation) {
    case Creation::kEverybody:
      return true;
    case Creation::kMembers: {
      // conference.example.org is of example.org.
      const std::string_view service = turn.room.service();
      return service.substr(service.find('.') + 1) == xmpp::DomainOf(sender);
    }
    case Creation::kAdministrators:
      return false;
  }
  return false;
}

/// Section 7.2.5. Beyond the bounds of wrong ones no password is looked at, so that none is found by trying.
/// Somebody with an affiliation is not kept out by what others try.
std::optional<EntryRefusal> RefusalOfPassword(Turn& turn, v1::Affiliation affiliation,
                                              const std::optional<xmpp::Element>& muc) {
  const std::string& wanted = turn.room.config().password();
  if (wanted.empty()) return std::nullopt;
  const std::string given = PasswordIn(muc);
  // Clients ask their user when they hear that there is one.
  if (given.empty()) return EntryRefusal{ErrorCondition::kNotAuthorized};
  constexpr std::int64_t kOfAll = 10;
  const std::int64_t most = turn.settings.max_wrong_passwords;
  const Count count(turn, turn.sender(), Counted::kRefusals);
  const bool is_known = affiliation >= v1::AFFILIATION_MEMBER;
  if (!count.Fits(1, most) || (!is_known && !HasRefusalsLeft(turn, kOfAll * most)))
    return EntryRefusal{ErrorCondition::kResourceConstraint, "Too many wrong passwords", ErrorType::kWait};
  if (EqualSecret(wanted, given)) return std::nullopt;
  count.Add(turn);
  CountRefusal(turn);
  return EntryRefusal{ErrorCondition::kNotAuthorized};
}

/// Why the sender may not come in, whatever the nick (XEP-0045 sections 7.2.5 to 7.2.10).
std::optional<EntryRefusal> RefusalOfEntrance(Turn& turn, v1::Affiliation affiliation,
                                              const std::optional<xmpp::Element>& muc) {
  const v1::RoomState& state = turn.room.state();
  if (affiliation == v1::AFFILIATION_OUTCAST) return EntryRefusal{ErrorCondition::kForbidden};
  if (state.is_locked() && affiliation != v1::AFFILIATION_OWNER)
    return EntryRefusal{ErrorCondition::kItemNotFound};
  if (state.config().is_members_only() && affiliation == v1::AFFILIATION_NONE)
    return EntryRefusal{ErrorCondition::kRegistrationRequired};
  return RefusalOfPassword(turn, affiliation, muc);
}

/// Section 7.2.9. Those who administer the room always find a place.
bool IsFull(const Turn& turn, v1::Affiliation affiliation) {
  if (affiliation >= v1::AFFILIATION_ADMIN) return false;
  const auto occupants = static_cast<std::int64_t>(turn.room.occupants().size());
  const std::int64_t of_room = turn.room.config().max_users();
  const std::int64_t of_service = turn.settings.max_occupants;
  return (of_room > 0 && occupants >= of_room) || (of_service > 0 && occupants >= of_service);
}

/// The nick that the sender has reserved, where it may have no other; or empty.
std::string LockedNickOf(const Turn& turn) {
  const v1::Affiliated* known = turn.room.FindAffiliated(turn.sender());
  return known != nullptr && turn.room.config().locks_nicks() ? known->nick() : std::string();
}

/// Section 7.2.2: whatever nick is asked for, who has a locked one is given that, and told so.
std::string NickToEnterWith(const Turn& turn, std::vector<Status>& statuses) {
  const std::string locked = LockedNickOf(turn);
  if (locked.empty() || locked == turn.nick()) return std::string(turn.nick());
  statuses.push_back(Status::kNickAssigned);
  return locked;
}

void CreateRoom(Turn& turn, bool is_locked) {
  Room& room = turn.room;
  room.Create();
  v1::RoomState& state = room.ChangeState();
  *state.mutable_config() = DefaultConfig(turn.settings);
  state.set_is_locked(is_locked);
  state.set_created_at_ms(turn.now_ms);
  // The version that a client remembers of a room of this name that was destroyed is older (XEP-0463).
  const auto version = static_cast<std::uint64_t>(std::max<std::int64_t>(turn.now_ms, 1));
  state.set_affiliation_horizon(version);
  state.set_affiliation_version(version + 1);
  v1::Affiliated& owner = room.ChangeAffiliated(turn.sender());
  owner.set_affiliation(v1::AFFILIATION_OWNER);
  owner.set_version(version + 1);
}

/// Takes over what the sender says of itself now. Others hear of it if what they are shown changes.
void TakePresence(Turn& turn) {
  Room& room = turn.room;
  const std::string& from = turn.stanza.from();
  const v1::Occupant& occupant = *room.FindSession(from);
  const std::string shown = ShownSession(occupant).jid();
  xmpp::Stanza said = CleanPresence(turn);
  xmpp::Stanza& presence = *room.ChangeSession(from)->mutable_presence();
  const bool is_new = said.payload() != presence.payload() || said.lang() != presence.lang();
  presence = std::move(said);
  const std::string& shown_now = ShownSession(occupant).jid();
  if (shown != shown_now || (shown == from && is_new)) TellOthers(turn, occupant);
}

/// To a session that has entered, in the order of section 7.1.
void Welcome(Turn& turn, const std::optional<xmpp::Element>& muc, std::vector<Status> statuses) {
  Room& room = turn.room;
  const std::string& from = turn.stanza.from();
  if (room.config().whois() == v1::AUDIENCE_ANYONE) statuses.push_back(Status::kNonAnonymousEntered);
  if (room.config().is_logged()) statuses.push_back(Status::kLogged);
  // Section 10.1.1: it still waits for its configuration.
  if (room.state().is_locked()) statuses.push_back(Status::kCreated);
  // XEP-0463 section 5.2.1: before any presence.
  if (muc) SendAffiliationChanges(turn, from, *muc);
  SendOccupantsTo(turn, from);
  TellSelf(turn, *room.FindSession(from), from, std::move(statuses), {.extra = MarkOfPresent(room)});
  SendAvatarHash(turn, {from});
  SendHistory(turn, from, muc ? muc->Find("history", xmpp::ns::kMuc) : nullptr);
  SendSubject(turn, from);
}

/// The sender is not in, and the room exists.
void Enter(Turn& turn, const std::optional<xmpp::Element>& muc, std::vector<Status> statuses) {
  Room& room = turn.room;
  const std::string_view account = turn.sender();
  const std::string& from = turn.stanza.from();
  const v1::Affiliation affiliation = turn.AffiliationOf(account);
  if (const auto refusal = RefusalOfEntrance(turn, affiliation, muc)) return Refuse(turn, *refusal);
  const std::string nick = NickToEnterWith(turn, statuses);
  if (const auto condition = RefusalOfNick(turn, nick, account)) return turn.Refuse(*condition);
  const v1::Occupant* own = room.FindNick(nick);
  if (own == nullptr && IsFull(turn, affiliation))
    return turn.Refuse(ErrorCondition::kServiceUnavailable, {}, ErrorType::kWait);
  const auto nicks = static_cast<std::int64_t>(room.FindAccount(account).size());
  if (own == nullptr && nicks >= turn.settings.max_nicks_per_account)
    return turn.Refuse(ErrorCondition::kResourceConstraint, "Too many nicks of one account");
  if (own != nullptr && own->sessions_size() >= turn.settings.max_sessions_per_nick)
    return turn.Refuse(ErrorCondition::kResourceConstraint, "Too many devices with this nick");
  const Changes changes(turn, account);
  if (!changes.may_change()) return Refuse(turn, kTooManyChanges);

  const bool is_new = own == nullptr;
  const std::string shown = is_new ? std::string() : ShownSession(*own).jid();
  if (is_new) {
    std::string id = OccupantIdOf(turn.settings, room, account, turn.account_generation);
    const v1::Role role =
        RoleOnEntry(turn, account, id, affiliation, RoleAtEntrance(room.config(), affiliation));
    v1::Occupant& occupant = room.AddOccupant(nick);
    occupant.set_role(role);
    occupant.set_occupant_id(std::move(id));
  }
  v1::OccupantSession& session = room.AddSession(nick, from);
  *session.mutable_presence() = CleanPresence(turn);
  session.set_is_gc1(!muc);
  changes.Add(turn);
  const v1::Occupant& occupant = *room.FindNick(nick);
  if (is_new || ShownSession(occupant).jid() != shown) TellOthers(turn, occupant);
  Welcome(turn, muc, std::move(statuses));
}

/// Section 10.1. One who speaks MUC configures the room first; for others it is open at once.
void EnterNew(Turn& turn, const std::optional<xmpp::Element>& muc) {
  if (!MayCreate(turn)) return turn.Refuse(ErrorCondition::kNotAllowed);
  if (const auto condition = RefusalOfNick(turn, turn.nick(), turn.sender())) return turn.Refuse(*condition);
  CreateRoom(turn, muc.has_value());
  Enter(turn, muc, {Status::kCreated});
}

/// Section 7.2.1: the client has lost its place.
void EnterAgain(Turn& turn, const std::optional<xmpp::Element>& muc, std::vector<Status> statuses) {
  const Changes changes(turn, turn.sender());
  if (!changes.may_change()) return Refuse(turn, kTooManyChanges);
  changes.Add(turn);
  TakePresence(turn);
  Welcome(turn, muc, std::move(statuses));
}

/// Section 7.7.
void ChangePresence(Turn& turn) {
  if (RefuseIfTooFast(turn)) return;
  TakePresence(turn);
  TellSelf(turn, *turn.occupant(), turn.stanza.from());
}

Exit RenamingOf(const Turn& turn, const v1::Occupant& occupant, const std::string& nick) {
  return {.statuses = {Status::kNewNick},
          .affiliation = turn.AffiliationOf(turn.sender()),
          .role = occupant.role(),
          .new_nick = nick};
}

/// Their own presence under a new nick, to these sessions. A session that enters with it hears that last
/// (section 7.2.2): Welcome tells.
void TellSelves(Turn& turn, const v1::Occupant& occupant,
                const google::protobuf::RepeatedPtrField<v1::OccupantSession>& sessions, bool is_entering) {
  for (const v1::OccupantSession& session : sessions)
    if (!is_entering || session.jid() != turn.stanza.from()) TellSelf(turn, occupant, session.jid());
}

/// The nick becomes free, all of the occupant's sessions have the other one: of an occupant who is the
/// account's own, too (section 7.2.8). For others one of two goes; that it has a new nick, which was there
/// before, would confuse their clients.
void Join(Turn& turn, const std::string& old, const std::string& nick, bool is_entering) {
  Room& room = turn.room;
  const v1::Occupant gone = *room.FindNick(old);
  const Exit renaming = RenamingOf(turn, gone, nick);
  for (const v1::OccupantSession& session : gone.sessions())
    TellSelfGone(turn, gone, session.jid(), renaming);
  TellOthersGone(turn, gone, {.affiliation = renaming.affiliation});
  KeepChangesOf(turn, gone);
  room.RemoveOccupant(old);
  const std::string shown = ShownSession(*room.FindNick(nick)).jid();
  for (const v1::OccupantSession& session : gone.sessions()) room.AddSession(nick, session.jid()) = session;
  *room.ChangeSession(turn.stanza.from())->mutable_presence() = CleanPresence(turn);
  const v1::Occupant& occupant = *room.FindNick(nick);
  if (ShownSession(occupant).jid() != shown) TellOthers(turn, occupant);
  TellSelves(turn, occupant, gone.sessions(), is_entering);
}

/// Sections 7.6 and 7.2.8: all of the occupant's sessions change it. `is_entering`: the sender, who is
/// welcomed then. False: it was refused.
bool ChangeNick(Turn& turn, const std::string& nick, bool is_entering) {
  Room& room = turn.room;
  const v1::Occupant& occupant = *turn.occupant();
  const std::string old = occupant.nick();
  const auto refuse = [&](const EntryRefusal& refusal) {
    Refuse(turn, refusal);
    return false;
  };
  if (const std::string locked = LockedNickOf(turn); !locked.empty() && locked != nick)
    return refuse({.condition = ErrorCondition::kNotAcceptable, .type = ErrorType::kCancel});
  if (room.config().visitors_keep_nick() && occupant.role() == v1::ROLE_VISITOR)
    return refuse({.condition = ErrorCondition::kNotAllowed});
  if (const auto condition = RefusalOfNick(turn, nick, turn.sender()))
    return refuse({.condition = *condition});
  const v1::Occupant* own = room.FindNick(nick);
  if (own != nullptr && own->sessions_size() + occupant.sessions_size() > turn.settings.max_sessions_per_nick)
    return refuse({ErrorCondition::kResourceConstraint, "Too many devices with this nick"});
  const Changes changes(turn, turn.sender());
  if (!changes.may_change()) return refuse(kTooManyChanges);

  if (own != nullptr) {
    Join(turn, old, nick, is_entering);
  } else {
    const Exit renaming = RenamingOf(turn, occupant, nick);
    for (const v1::OccupantSession& session : occupant.sessions())
      TellSelfGone(turn, occupant, session.jid(), renaming);
    TellOthersGone(turn, occupant, renaming);
    room.Rename(old, nick);
    *room.ChangeSession(turn.stanza.from())->mutable_presence() = CleanPresence(turn);
    const v1::Occupant& renamed = *room.FindNick(nick);
    // Moderators have heard, of whomever, that the old one goes.
    TellOthers(turn, renamed, {}, true);
    TellSelves(turn, renamed, renamed.sessions(), is_entering);
  }
  changes.Add(turn);
  return true;
}

/// Section 7.2.18: presence of a client that believes itself in the room. To take it for a join would hide
/// from its user what was missed.
void TellNotIn(Turn& turn) {
  xmpp::Stanza kick = xmpp::MakePresence("unavailable", turn.stanza.to(), turn.stanza.from());
  kick.set_id(turn.stanza.id());
  xmpp::Element x("x", xmpp::ns::kMucUser);
  xmpp::Element& item = x.Add("item").SetAttr("affiliation", "none").SetAttr("role", "none");
  item.Add("reason").SetText("You are not in the room.");
  for (const Status status : {Status::kSelf, Status::kKicked, Status::kTechnical})
    x.Add("status").SetAttr("code", std::to_string(static_cast<int>(status)));
  xmpp::SetPayload(kick, x);
  turn.outcome.Send(std::move(kick));
}

}  // namespace

bool MaySayMuc(const xmpp::Stanza& presence) {
  return presence.payload().find(xmpp::ns::kMuc) != std::string::npos;
}

bool IsEntry(const Settings& settings, const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type().empty() &&
         !xmpp::ResourceOf(stanza.to()).empty() &&
         (settings.admits_groupchat_1 || FindMuc(stanza).has_value());
}

void OnAvailable(Turn& turn) {
  if (turn.nick().empty()) return turn.Refuse(ErrorCondition::kJidMalformed);
  const std::optional<xmpp::Element> muc = FindMuc(turn.stanza);
  const v1::Occupant* occupant = turn.occupant();
  if (occupant == nullptr) {
    if (!IsEntry(turn.settings, turn.stanza)) return TellNotIn(turn);
    return turn.room.exists() ? Enter(turn, muc, {}) : EnterNew(turn, muc);
  }
  std::vector<Status> statuses;
  const std::string nick = muc ? NickToEnterWith(turn, statuses) : std::string(turn.nick());
  if (occupant->nick() != nick) {
    // With <x/> it is a join under another nick, of a client that does not know that it is in.
    if (ChangeNick(turn, nick, muc.has_value()) && muc) Welcome(turn, muc, std::move(statuses));
  } else if (muc) {
    EnterAgain(turn, muc, std::move(statuses));
  } else {
    ChangePresence(turn);
  }
}

void OnProbe(Turn& turn) {
  if (!turn.nick().empty() && turn.occupant() == nullptr) TellNotIn(turn);
}

}  // namespace rookery::muc
