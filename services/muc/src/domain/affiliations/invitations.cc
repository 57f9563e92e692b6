#include "domain/affiliations/invitations.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/affiliations/affiliations.h"
#include "domain/affiliations/asked.h"
#include "domain/affiliations/mediated_invitation.h"
#include "domain/messages/relayed_ids.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::muc {

namespace {

namespace ns = xmpp::ns;
using xmpp::ErrorCondition;

/// For MakeRelayedId; the note is the version of the membership that the invitation has made, or empty.
constexpr std::string_view kPurpose = "invited";
/// So that it has a place in an id that goes on.
constexpr std::size_t kMaxIdBytes = xmpp::kMaxIdBytes / 2;

struct Invitation {
  xmpp::Jid to;
  const xmpp::Element* asked;
};

std::string ReasonOf(const xmpp::Element& element) {
  const xmpp::Element* reason = element.Find("reason", ns::kMucUser);
  return reason == nullptr ? std::string() : reason->Text();
}

bool IsWithinBounds(const Turn& turn, const std::string& reason) {
  return reason.size() <= static_cast<std::size_t>(turn.settings.max_reason_bytes);
}

bool MayInvite(const Turn& turn) {
  const v1::RoomConfig& config = turn.room.config();
  if (!config.is_members_only()) return true;
  const v1::Affiliation own = turn.AffiliationOf(turn.sender());
  return own >= v1::AFFILIATION_ADMIN || (config.allow_invites() && own >= v1::AFFILIATION_MEMBER);
}

/// Returns why an address cannot be invited.
std::optional<ErrorCondition> RefusalOf(const Turn& turn, const xmpp::Jid& to) {
  if (turn.AffiliationOf(to.bare()) == v1::AFFILIATION_OUTCAST) return ErrorCondition::kForbidden;
  return RefusalOfAddress(turn.settings, to.str());
}

/// Those whom the invitations make members.
std::vector<std::string> NewMembers(const Turn& turn, const std::vector<Invitation>& invitations) {
  std::vector<std::string> accounts;
  if (!turn.room.config().is_members_only()) return accounts;
  for (const Invitation& invitation : invitations) {
    const std::string account(invitation.to.bare());
    if (turn.AffiliationOf(account) == v1::AFFILIATION_NONE &&
        std::find(accounts.begin(), accounts.end(), account) == accounts.end())
      accounts.push_back(account);
  }
  return accounts;
}

/// Those of whom the room knows nothing yet.
std::int64_t CountUnknown(const Room& room, const std::vector<std::string>& accounts) {
  return std::count_if(accounts.begin(), accounts.end(), [&](const std::string& account) {
    const v1::Affiliated* entry = room.FindAffiliated(account);
    return entry == nullptr || !IsRemembered(*entry);
  });
}

/// Returns the version of the account's affiliation; empty: it has never had one.
std::string VersionOf(const Room& room, std::string_view account) {
  const v1::Affiliated* entry = room.FindAffiliated(account);
  return entry == nullptr ? std::string() : std::to_string(entry->version());
}

/// The inviter whom a decline names, by account or as an occupant.
struct Inviter {
  /// Empty: nobody whom the room knows.
  std::string account = {};
  Recipients recipients = {};
};

Inviter InviterOf(const Turn& turn, const xmpp::Jid& to) {
  const Room& room = turn.room;
  if (to.bare() == room.jid()) {
    const v1::Occupant* occupant = room.FindNick(to.resource());
    if (occupant == nullptr) return {};
    Inviter inviter{.account = std::string(Room::AccountOf(*occupant))};
    for (const v1::OccupantSession& session : occupant->sessions())
      inviter.recipients.push_back(session.jid());
    return inviter;
  }
  std::string account(to.bare());
  if (room.FindSession(to.str()) != nullptr) return {std::move(account), {std::string(to.str())}};
  const bool is_known =
      room.AffiliationOf(account) >= v1::AFFILIATION_MEMBER || !room.FindAccount(account).empty();
  return is_known && !RefusalOfAddress(turn.settings, account) ? Inviter{account, {account}} : Inviter{};
}

}  // namespace

bool OnInvitations(Turn& turn, const xmpp::Element& x) {
  std::vector<const xmpp::Element*> asked;
  for (const xmpp::Element& child : x.children())
    if (child.Is("invite", ns::kMucUser)) asked.push_back(&child);
  if (asked.empty()) return false;
  const auto refuse = [&](ErrorCondition condition, std::string_view text = {}) {
    turn.Refuse(condition, text);
    return true;
  };

  const v1::Occupant* occupant = turn.occupant();
  if (occupant == nullptr) return refuse(ErrorCondition::kNotAcceptable);
  if (!MayInvite(turn)) return refuse(ErrorCondition::kForbidden);
  if (static_cast<std::int64_t>(asked.size()) > turn.settings.max_requests)
    return refuse(ErrorCondition::kPolicyViolation, "Too many invitations in one message");
  if (turn.stanza.id().size() > kMaxIdBytes)
    return refuse(ErrorCondition::kPolicyViolation, "The id is too long to be passed on");
  std::vector<Invitation> invitations;
  for (const xmpp::Element* invite : asked) {
    auto to = xmpp::Jid::Parse(invite->Attr("to"));
    if (!to.ok()) return refuse(ErrorCondition::kJidMalformed);
    if (const auto refusal = RefusalOf(turn, *to)) return refuse(*refusal);
    if (!IsWithinBounds(turn, ReasonOf(*invite))) return refuse(ErrorCondition::kNotAcceptable);
    const bool is_double = std::any_of(invitations.begin(), invitations.end(),
                                       [&](const Invitation& other) { return other.to == *to; });
    if (!is_double) invitations.push_back({*std::move(to), invite});
  }
  const std::vector<std::string> members = NewMembers(turn, invitations);
  if (const auto refusal = RefusalOfMore(turn, CountUnknown(turn.room, members))) return refuse(*refusal);
  if (RefuseIfTooMany(turn, static_cast<std::int64_t>(invitations.size()))) return true;

  const std::string nick = occupant->nick();
  const std::string asker = TagOfAsker(turn, *occupant, turn.stanza.from());
  for (const std::string& account : members)
    SetAffiliation(turn, account, v1::AFFILIATION_MEMBER, nick, {}, Courtesy::kNone);
  const bool is_named = turn.room.config().whois() == v1::AUDIENCE_ANYONE;
  const std::string from = is_named ? std::string(turn.sender()) : turn.room.AddressOf(nick);
  for (const auto& [to, invite] : invitations) {
    xmpp::Stanza message =
        MakeInvitation(turn, to.str(), from, ReasonOf(*invite), invite->Find("continue", ns::kMucUser));
    const bool is_made = std::find(members.begin(), members.end(), to.bare()) != members.end();
    const std::string version = is_made ? VersionOf(turn.room, to.bare()) : std::string();
    message.set_id(
        MakeRelayedId(turn, kPurpose, to.bare(), {.asker = asker, .note = version, .id = turn.stanza.id()}));
    turn.outcome.Send(std::move(message));
  }
  return true;
}

void ReturnInvitation(Turn& turn, ErrorCondition condition) {
  Room& room = turn.room;
  const std::string invitee(turn.sender());
  const std::optional<Relayed> invited = ReadRelayedId(turn, kPurpose, invitee, turn.stanza.id());
  if (!invited || !room.exists()) return;
  const bool is_unchanged = !invited->note.empty() && invited->note == VersionOf(room, invitee) &&
                            room.AffiliationOf(invitee) == v1::AFFILIATION_MEMBER;
  if (is_unchanged && room.FindAccount(invitee).empty())
    SetAffiliation(turn, invitee, v1::AFFILIATION_NONE, {}, {}, Courtesy::kNone);

  const std::string session = FindAsker(turn, invited->asker, {});
  const std::string_view inviter = xmpp::BareOf(session);
  if (session.empty() || !IsAsked(turn, Asked::kInvitation, inviter, invitee)) return;
  ForgetAsked(turn, Asked::kInvitation, inviter, invitee);
  // Servers say no more of accounts that they do not have (RFC 6121 section 8.5.1).
  if (condition == ErrorCondition::kServiceUnavailable && !turn.is_from_client)
    condition = ErrorCondition::kItemNotFound;
  xmpp::Stanza error = xmpp::MakeMessage("error", room.jid(), session);
  error.set_id(invited->id);
  // One of several, perhaps.
  xmpp::AddPayload(error, xmpp::MakeErrorElement(condition, "The invitation has not reached " + invitee));
  turn.outcome.Send(std::move(error));
}

bool OnDecline(Turn& turn, const xmpp::Element& x) {
  const xmpp::Element* asked = x.Find("decline", ns::kMucUser);
  if (asked == nullptr) return false;
  const auto to = xmpp::Jid::Parse(asked->Attr("to"));
  const auto refuse = [&](ErrorCondition condition) {
    turn.Refuse(condition);
    return true;
  };
  if (!to.ok()) return refuse(ErrorCondition::kJidMalformed);
  if (turn.AffiliationOf(turn.sender()) == v1::AFFILIATION_OUTCAST) return refuse(ErrorCondition::kForbidden);
  const std::string reason = ReasonOf(*asked);
  if (!IsWithinBounds(turn, reason)) return refuse(ErrorCondition::kNotAcceptable);
  const Inviter inviter = InviterOf(turn, *to);
  if (inviter.account.empty() || !IsAsked(turn, Asked::kInvitation, inviter.account, turn.sender()))
    return true;
  if (RefuseIfTooMany(turn, 1)) return true;
  ForgetAsked(turn, Asked::kInvitation, inviter.account, turn.sender());
  xmpp::Element answer("x", ns::kMucUser);
  xmpp::Element& decline = answer.Add("decline");
  decline.SetAttr("from", turn.sender());
  if (!reason.empty()) decline.Add("reason").SetText(reason);
  xmpp::Stanza message = xmpp::MakeMessage({}, turn.room.jid(), {});
  xmpp::SetPayload(message, answer);
  message.set_id(turn.stanza.id());
  turn.outcome.SendToEach(message, inviter.recipients);
  return true;
}

}  // namespace rookery::muc
