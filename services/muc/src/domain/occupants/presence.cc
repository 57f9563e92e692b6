#include "domain/occupants/presence.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "absl/strings/escaping.h"
#include "domain/occupants/hat_list.h"
#include "domain/occupants/nicks.h"
#include "domain/occupants/voice.h"
#include "domain/room/occupant_message.h"
#include "rookery/base/scram.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

/// The extended presence of one variant (XEP-0045 section 7.2.2).
struct MucUser {
  v1::Affiliation affiliation = v1::AFFILIATION_NONE;
  v1::Role role = v1::ROLE_NONE;
  /// Empty: not told.
  std::string_view nick = {};
  const Deed& deed;
  std::string_view extra = {};
  std::vector<Status> statuses = {};
};

void AppendAll(std::string& out, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) out.append(part);
}

void AppendAttribute(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  AppendAll(out, {" ", name, "=\""});
  xmpp::AppendEscaped(out, value);
  out.push_back('"');
}

/// `jid` empty: the recipient does not learn it.
void Append(std::string& out, const MucUser& user, std::string_view jid) {
  AppendAll(out, {"<x xmlns=\"", xmpp::ns::kMucUser, "\"><item affiliation=\"", Name(user.affiliation),
                  "\" role=\"", Name(user.role), "\""});
  AppendAttribute(out, "jid", jid);
  AppendAttribute(out, "nick", user.nick);
  if (user.deed.actor_nick.empty() && user.deed.reason.empty()) {
    out.append("/>");
  } else {
    out.push_back('>');
    if (!user.deed.actor_nick.empty()) {
      out.append("<actor");
      AppendAttribute(out, "nick", user.deed.actor_nick);
      out.append("/>");
    }
    if (!user.deed.reason.empty()) {
      out.append("<reason>");
      xmpp::AppendEscaped(out, user.deed.reason);
      out.append("</reason>");
    }
    out.append("</item>");
  }
  for (const Status status : user.statuses)
    AppendAll(out, {"<status code=\"", std::to_string(static_cast<int>(status)), "\"/>"});
  AppendAll(out, {user.deed.extra, user.extra, "</x>"});
}

std::vector<Status> Sorted(std::vector<Status> statuses) {
  std::sort(statuses.begin(), statuses.end());
  statuses.erase(std::unique(statuses.begin(), statuses.end()), statuses.end());
  return statuses;
}

std::vector<Status> WithSelf(std::vector<Status> statuses) {
  statuses.push_back(Status::kSelf);
  return Sorted(std::move(statuses));
}

/// The presence of an occupant in several variants: all but the item's `jid` is the same.
class Variants {
 public:
  /// `said`: what the client has said, without what only the room may say.
  Variants(const Turn& turn, const v1::Occupant& occupant, std::string_view type, const xmpp::Stanza& said)
      : base_(xmpp::MakePresence(type, turn.room.AddressOf(occupant.nick()), {})) {
    base_.set_lang(said.lang());
    base_.set_payload(said.payload());
    base_.set_traits(said.traits() | common::v1::STANZA_TRAIT_MUC_USER |
                     common::v1::STANZA_TRAIT_OTHER_PAYLOAD);
    AppendAll(end_, {"<occupant-id xmlns=\"", xmpp::ns::kOccupantId, "\""});
    AppendAttribute(end_, "id", occupant.occupant_id());
    AppendAll(end_, {"/>", HatsOf(turn.room, Room::AccountOf(occupant))});
  }
  xmpp::Stanza Make(const MucUser& user, std::string_view jid) const& {
    return Variants(*this).Finish(user, jid);
  }
  /// The last one.
  xmpp::Stanza Make(const MucUser& user, std::string_view jid) && { return Finish(user, jid); }

 private:
  xmpp::Stanza Finish(const MucUser& user, std::string_view jid) {
    std::string& payload = *base_.mutable_payload();
    payload.reserve(payload.size() + jid.size() + end_.size() + 256);
    Append(payload, user, jid);
    payload.append(end_);
    return std::move(base_);
  }

  xmpp::Stanza base_;
  std::string end_;
};

/// Those who hear of an occupant, besides itself.
struct Hearers {
  bool moderators = true;
  bool others = true;
};

/// To those who hear of `about`. They see its address where they may, or where it is their own. However many
/// are told about, there is one list of moderators and one of others.
void Send(Turn& turn, const Variants& variants, const MucUser& user, std::string_view jid,
          const v1::Occupant& about, Hearers hearers) {
  const Room& room = turn.room;
  const std::string_view account = Room::AccountOf(about);
  const std::vector<const v1::Occupant*> own = room.FindAccount(account);
  // Its account's other nicks are told apart from the rest.
  Recipients seeing;
  std::size_t own_moderators = 0, own_others = 0;
  for (const v1::Occupant* occupant : own) {
    const bool is_moderator = occupant->role() == v1::ROLE_MODERATOR;
    (is_moderator ? own_moderators : own_others) += static_cast<std::size_t>(occupant->sessions_size());
    if (occupant->nick() == about.nick() || !(is_moderator ? hearers.moderators : hearers.others)) continue;
    for (const v1::OccupantSession& session : occupant->sessions()) seeing.push_back(session.jid());
  }
  const auto send = [&](std::string_view shown, std::shared_ptr<const Recipients> recipients,
                        std::size_t own_sessions) {
    if (recipients->size() > own_sessions)
      turn.outcome.SendToAll(variants.Make(user, shown), std::move(recipients), account);
  };
  const bool is_open = room.config().whois() == v1::AUDIENCE_ANYONE;
  if (is_open && hearers.moderators && hearers.others) {
    send(jid, room.everyone(), own_moderators + own_others);
  } else {
    if (hearers.moderators) send(jid, room.moderators(), own_moderators);
    if (hearers.others) send(is_open ? jid : std::string_view(), room.others(), own_others);
  }
  if (!seeing.empty()) turn.outcome.SendToAll(variants.Make(user, jid), std::move(seeing));
}

void SendTo(Turn& turn, xmpp::Stanza stanza, std::string_view full_jid) {
  stanza.set_to(std::string(full_jid));
  turn.outcome.Send(std::move(stanza));
}

/// One who has asked for it finds the answer by the id (XEP-0045 section 7.2.2).
void SendToSelf(Turn& turn, xmpp::Stanza stanza, std::string_view full_jid) {
  const bool has_asked =
      turn.stanza.kind() == common::v1::STANZA_KIND_PRESENCE && turn.stanza.from() == full_jid;
  if (has_asked) stanza.set_id(turn.stanza.id());
  SendTo(turn, std::move(stanza), full_jid);
}

/// The presence of another, to a session of an occupant that sees its address or does not.
void SendOccupantTo(Turn& turn, const v1::Occupant& occupant, bool sees, std::string_view full_jid) {
  const Deed nothing;
  const MucUser user{
      .affiliation = turn.AffiliationOf(Room::AccountOf(occupant)), .role = occupant.role(), .deed = nothing};
  const v1::OccupantSession& shown = ShownSession(occupant);
  const std::string_view jid = sees ? std::string_view(shown.jid()) : std::string_view();
  SendTo(turn, Variants(turn, occupant, {}, shown.presence()).Make(user, jid), full_jid);
}

bool IsModerator(const v1::Occupant& occupant) { return occupant.role() == v1::ROLE_MODERATOR; }

bool IsDone(const Deed& deed) {
  return !deed.actor_nick.empty() || !deed.reason.empty() || !deed.extra.empty();
}

/// With what the operator has set for crowds. Occupants who were shown before there was one stay so: nobody
/// comes and goes with those who are around the bound.
bool IsBroadcastNow(const Turn& turn, const v1::Occupant& occupant) {
  const std::uint32_t role = 1u << occupant.role();
  return IsBroadcast(turn.room, occupant.role()) &&
         (occupant.is_shown() || (BroadcastRolesNow(turn) & role) != 0);
}

/// Nobody is told. A temporary room that is empty then is no more. Gives who has gone.
v1::Occupant TakeOut(Turn& turn, const v1::Occupant& occupant, bool is_kicked) {
  Room& room = turn.room;
  KeepChangesOf(turn, occupant);
  KeepVoiceOf(turn, occupant, is_kicked);
  v1::Occupant gone = room.RemoveOccupant(std::string(occupant.nick()));
  const bool is_temporary = !room.config().is_persistent() || room.state().is_locked();
  if (is_temporary && room.occupants().empty()) room.Destroy();
  return gone;
}

xmpp::Stanza SaidAtExit(const Turn& turn, const Exit& exit) {
  xmpp::Stanza said;
  if (exit.payload.empty()) return said;
  said.set_lang(turn.stanza.lang());
  said.set_payload(exit.payload);
  said.set_traits(turn.stanza.traits());
  return said;
}

MucUser MucUserOf(const Exit& exit, std::vector<Status> statuses) {
  return {.affiliation = exit.affiliation,
          .role = exit.role,
          .nick = exit.new_nick,
          .deed = exit.deed,
          .extra = exit.extra,
          .statuses = std::move(statuses)};
}

/// How available a session is (RFC 6121 section 4.7.2.1), the most available one last.
int AvailabilityOf(const v1::OccupantSession& session) {
  static constexpr std::array<std::string_view, 5> kShows = {"<show>dnd<", "<show>xa<", "<show>away<", "",
                                                             "<show>chat<"};
  const std::string& payload = session.presence().payload();
  for (std::size_t i = 0; i < kShows.size(); ++i)
    if (!kShows[i].empty() && payload.find(kShows[i]) != std::string::npos) return static_cast<int>(i);
  return 3;
}

}  // namespace

bool SeesAddresses(const Room& room, const v1::Occupant& viewer) {
  return room.config().whois() == v1::AUDIENCE_ANYONE || IsModerator(viewer);
}

bool IsBroadcast(const Room& room, v1::Role role) {
  return (room.config().presence_broadcast() & (1u << role)) != 0;
}

std::uint32_t BroadcastRolesNow(const Turn& turn) {
  const v1::RoomConfig& config = turn.room.config();
  const std::int64_t quiet_above = turn.settings.quiet_above;
  const bool is_crowded =
      quiet_above > 0 && turn.room.occupants().size() > static_cast<std::size_t>(quiet_above);
  if (!is_crowded || config.has_chosen_presence_broadcast()) return config.presence_broadcast();
  return config.presence_broadcast() & (1u << v1::ROLE_MODERATOR);
}

const v1::OccupantSession& ShownSession(const v1::Occupant& occupant) {
  const auto& sessions = occupant.sessions();
  if (sessions.size() == 1) return sessions.Get(0);
  return *std::max_element(sessions.begin(), sessions.end(), [](const auto& a, const auto& b) {
    return AvailabilityOf(a) < AvailabilityOf(b);
  });
}

void TellOthers(Turn& turn, const v1::Occupant& occupant, const Deed& deed, bool do_moderators_hear) {
  Room& room = turn.room;
  const bool was_shown = occupant.is_shown();
  const bool is_shown = IsBroadcastNow(turn, occupant);
  if (is_shown != was_shown) room.ChangeKnown(occupant.nick())->set_is_shown(is_shown);
  do_moderators_hear = do_moderators_hear || is_shown || IsDone(deed);

  const v1::OccupantSession& shown = ShownSession(occupant);
  const v1::Affiliation affiliation = turn.AffiliationOf(Room::AccountOf(occupant));
  const MucUser user{.affiliation = affiliation, .role = occupant.role(), .deed = deed};
  if (do_moderators_hear)
    Send(turn, Variants(turn, occupant, {}, shown.presence()), user, shown.jid(), occupant,
         {.others = is_shown});
  if (is_shown || !was_shown) return;
  const Deed nothing;
  const MucUser gone{.affiliation = affiliation, .role = v1::ROLE_NONE, .deed = nothing};
  Send(turn, Variants(turn, occupant, "unavailable", {}), gone, shown.jid(), occupant,
       {.moderators = !do_moderators_hear});
}

void TellSelf(Turn& turn, const v1::Occupant& occupant, std::string_view full_jid,
              std::vector<Status> statuses, const Deed& deed) {
  const v1::OccupantSession* session = Room::SessionOf(occupant, full_jid);
  if (session == nullptr) return;
  const MucUser user{.affiliation = turn.AffiliationOf(Room::AccountOf(occupant)),
                     .role = occupant.role(),
                     .deed = deed,
                     .statuses = WithSelf(std::move(statuses))};
  SendToSelf(turn, Variants(turn, occupant, {}, session->presence()).Make(user, full_jid), full_jid);
}

void BroadcastAvailable(Turn& turn, const v1::Occupant& occupant, std::vector<Status> statuses,
                        const Deed& deed) {
  TellOthers(turn, occupant, deed);
  for (const v1::OccupantSession& session : occupant.sessions())
    TellSelf(turn, occupant, session.jid(), statuses, deed);
}

bool IsShownWrongly(const Turn& turn, const v1::Occupant& occupant) {
  return occupant.is_shown() != IsBroadcastNow(turn, occupant);
}

void BroadcastStatuses(Turn& turn, const std::vector<int>& codes) {
  xmpp::Element x("x", xmpp::ns::kMucUser);
  for (const int code : codes) x.Add("status").SetAttr("code", std::to_string(code));
  xmpp::Stanza message = xmpp::MakeMessage("groupchat", turn.room.jid(), {});
  xmpp::SetPayload(message, x);
  turn.outcome.SendToAll(std::move(message), turn.room.everyone());
}

void TellAddress(Turn& turn, const v1::Occupant& occupant, std::string_view account) {
  const Room& room = turn.room;
  if (!occupant.is_shown()) return;
  if (account.empty()) {
    if (room.config().whois() != v1::AUDIENCE_ANYONE) return;
    const v1::OccupantSession& shown = ShownSession(occupant);
    const Deed nothing;
    const MucUser user{.affiliation = turn.AffiliationOf(Room::AccountOf(occupant)),
                       .role = occupant.role(),
                       .deed = nothing};
    return Send(turn, Variants(turn, occupant, {}, shown.presence()), user, shown.jid(), occupant,
                {.moderators = false});
  }
  for (const v1::Occupant* viewer : room.FindAccount(account)) {
    if (viewer == &occupant || !SeesAddresses(room, *viewer)) continue;
    for (const v1::OccupantSession& session : viewer->sessions())
      SendOccupantTo(turn, occupant, true, session.jid());
  }
}

void SendOccupantsTo(Turn& turn, std::string_view full_jid) {
  const Room& room = turn.room;
  const v1::Occupant* viewer = room.FindSession(full_jid);
  for (const auto& [nick, occupant] : room.occupants()) {
    if (&occupant == viewer || !occupant.is_shown()) continue;
    const bool sees = viewer != nullptr &&
                      (SeesAddresses(room, *viewer) || Room::AccountOf(*viewer) == Room::AccountOf(occupant));
    SendOccupantTo(turn, occupant, sees, full_jid);
  }
}

void TellSelfGone(Turn& turn, const v1::Occupant& occupant, std::string_view full_jid, const Exit& exit) {
  Variants variants(turn, occupant, "unavailable", SaidAtExit(turn, exit));
  SendToSelf(turn, std::move(variants).Make(MucUserOf(exit, WithSelf(exit.statuses)), full_jid), full_jid);
}

void TellOthersGone(Turn& turn, const v1::Occupant& occupant, const Exit& exit) {
  Send(turn, Variants(turn, occupant, "unavailable", SaidAtExit(turn, exit)),
       MucUserOf(exit, Sorted(exit.statuses)), ShownSession(occupant).jid(), occupant,
       {.others = occupant.is_shown()});
}

void RemoveSession(Turn& turn, std::string_view full_jid, const Exit& exit) {
  Room& room = turn.room;
  const v1::Occupant* occupant = room.FindSession(full_jid);
  if (occupant == nullptr) return;
  // Copies, since they are told when the session is gone.
  const std::string nick = occupant->nick();
  const std::string jid(full_jid);
  if (occupant->sessions_size() == 1) return RemoveOccupant(turn, nick, exit);
  const bool was_shown = ShownSession(*occupant).jid() == jid;
  TellSelfGone(turn, *occupant, jid, exit);
  room.RemoveSession(jid);
  if (was_shown) TellOthers(turn, *room.FindNick(nick));
}

void RemoveOccupant(Turn& turn, std::string_view nick, const Exit& exit) {
  const v1::Occupant* occupant = turn.room.FindNick(nick);
  if (occupant == nullptr) return;
  const v1::Occupant gone = Expel(turn, *occupant, exit);
  TellOthersGone(turn, gone, exit);
}

v1::Occupant Expel(Turn& turn, const v1::Occupant& occupant, Exit exit) {
  // Section 10.1.3: with its last occupant a room that was never configured is destroyed.
  if (turn.room.state().is_locked() && turn.room.occupants().size() == 1) {
    exit.affiliation = v1::AFFILIATION_NONE;
    exit.extra.append("<destroy/>");
  }
  for (const v1::OccupantSession& session : occupant.sessions())
    TellSelfGone(turn, occupant, session.jid(), exit);
  const auto& statuses = exit.statuses;
  const bool is_kicked = std::find(statuses.begin(), statuses.end(), Status::kKicked) != statuses.end();
  return TakeOut(turn, occupant, is_kicked);
}

void RemoveOccupants(Turn& turn, const std::vector<std::string>& nicks, const Exit& exit,
                     const Staying& staying) {
  const Room& room = turn.room;
  const bool is_open = room.config().whois() == v1::AUDIENCE_ANYONE;
  for (const std::string& nick : nicks) {
    const v1::Occupant& occupant = *room.FindNick(nick);
    for (const v1::OccupantSession& session : occupant.sessions())
      TellSelfGone(turn, occupant, session.jid(), exit);
    const Variants variants(turn, occupant, "unavailable", SaidAtExit(turn, exit));
    const MucUser user = MucUserOf(exit, Sorted(exit.statuses));
    const std::string& jid = ShownSession(occupant).jid();
    turn.outcome.SendToAll(variants.Make(user, jid), staying.moderators);
    if (occupant.is_shown())
      turn.outcome.SendToAll(variants.Make(user, is_open ? jid : std::string_view()), staying.others);
  }
  for (const std::string& nick : nicks) {
    if (!room.exists()) return;
    TakeOut(turn, *room.FindNick(nick), false);
  }
}

void DestroyRoom(Turn& turn, const Exit& exit) {
  for (const auto& [nick, occupant] : turn.room.occupants())
    for (const v1::OccupantSession& session : occupant.sessions())
      TellSelfGone(turn, occupant, session.jid(), exit);
  turn.room.Destroy();
}

xmpp::Stanza CleanPresence(const Turn& turn) {
  xmpp::Stanza clean;
  clean.set_kind(common::v1::STANZA_KIND_PRESENCE);
  clean.set_type(turn.stanza.type());
  clean.set_lang(turn.stanza.lang());
  if (turn.stanza.payload().empty()) return clean;
  auto children = xmpp::ParsePayload(turn.stanza.payload());
  if (!children.ok()) return clean;
  bool has_show = false;
  bool has_priority = false;
  std::size_t bytes = 0;
  for (xmpp::Element& child : *children) {
    if (!LeaveWhatOccupantsSay(turn, child)) continue;
    // RFC 6121 section 4.7.2: at most one of each. They are short, whatever a client has put into them.
    const bool is_show = child.Is("show", xmpp::ns::kClient);
    const bool is_priority = child.Is("priority", xmpp::ns::kClient);
    if ((is_show && std::exchange(has_show, true)) || (is_priority && std::exchange(has_priority, true)))
      continue;
    const std::size_t size = child.ToXml(xmpp::ns::kClient).size();
    if (bytes + size > static_cast<std::size_t>(turn.settings.max_presence_bytes)) continue;
    bytes += size;
    xmpp::AddPayload(clean, child);
  }
  return clean;
}

std::string_view Name(v1::Affiliation affiliation) {
  switch (affiliation) {
    case v1::AFFILIATION_OUTCAST:
      return "outcast";
    case v1::AFFILIATION_MEMBER:
      return "member";
    case v1::AFFILIATION_ADMIN:
      return "admin";
    case v1::AFFILIATION_OWNER:
      return "owner";
    default:
      return "none";
  }
}

std::string_view Name(v1::Role role) {
  switch (role) {
    case v1::ROLE_VISITOR:
      return "visitor";
    case v1::ROLE_PARTICIPANT:
      return "participant";
    case v1::ROLE_MODERATOR:
      return "moderator";
    default:
      return "none";
  }
}

v1::Role RoleAtEntrance(const v1::RoomConfig& config, v1::Affiliation affiliation) {
  switch (affiliation) {
    case v1::AFFILIATION_OWNER:
    case v1::AFFILIATION_ADMIN:
      return v1::ROLE_MODERATOR;
    case v1::AFFILIATION_MEMBER:
      return v1::ROLE_PARTICIPANT;
    case v1::AFFILIATION_NONE:
      return config.is_moderated() ? v1::ROLE_VISITOR : v1::ROLE_PARTICIPANT;
    default:
      return v1::ROLE_NONE;
  }
}

std::string OccupantIdOf(const Settings& settings, const Room& room, std::string_view bare,
                         std::uint64_t account_generation) {
  std::string data = room.jid();
  data.push_back('\0');
  data.append(bare);
  if (account_generation != 0) data.append(1, '\0').append(std::to_string(account_generation));
  std::string id;
  absl::WebSafeBase64Escape(Hmac(ScramHash::kSha256, settings.occupant_id_key, data), &id);
  while (id.ends_with('=')) id.pop_back();
  return id;
}

}  // namespace rookery::muc
