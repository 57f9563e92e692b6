#include "domain/affiliations/registration.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/affiliations/affiliations.h"
#include "domain/affiliations/asked.h"
#include "domain/occupants/nicks.h"
#include "domain/occupants/privileges.h"
#include "domain/room/pace.h"
#include "domain/room/request.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

constexpr std::string_view kFormType = "http://jabber.org/protocol/muc#register";
constexpr std::string_view kNick = "muc#register_roomnick";
constexpr std::string_view kAllow = "muc#register_allow";
/// The account that an admin lets in: the XEP's form for approval does not name it.
constexpr std::string_view kJid = "muc#jid";
/// Something that an admin may want to know of somebody who registers. It is passed on and not kept.
struct About {
  std::string_view var;
  std::string_view type;
  std::string_view label;
};
constexpr About kAbout[] = {
    {"muc#register_first", "text-single", "Given Name"},
    {"muc#register_last", "text-single", "Family Name"},
    {"muc#register_url", "text-single", "A Web Page"},
    {"muc#register_email", "text-single", "Email Address"},
    {"muc#register_faqentry", "text-multi", "FAQ Entry"},
};
/// The limit for one of these, its lines together.
constexpr std::size_t kMaxAboutBytes = 1024;
/// So many admins who are not in the room are asked, where none is.
constexpr std::size_t kMaxAbsentAdmins = 20;

bool IsMember(const Turn& turn) { return turn.AffiliationOf(turn.sender()) >= v1::AFFILIATION_MEMBER; }

/// Section 7.10 leaves it to the room what registering leads to. Where membership opens something, a voice,
/// the door, a look inside or the list of addresses, an admin decides on it. Elsewhere it would be of use
/// against moderators only, who have no affiliation themselves, so the nick is reserved and nothing else.
bool NeedsApproval(const Turn& turn) {
  const v1::RoomConfig& config = turn.room.config();
  const bool is_of_use = config.is_members_only() || config.is_moderated() || !config.password().empty() ||
                         !config.is_public() || config.whois() == v1::AUDIENCE_ANYONE;
  return is_of_use && !IsMember(turn);
}

bool MayRegister(const Turn& turn) {
  if (turn.AffiliationOf(turn.sender()) == v1::AFFILIATION_OUTCAST) return false;
  return IsMember(turn) || !turn.room.config().forbids_registration();
}

const v1::Affiliated* EntryOfSender(const Turn& turn) { return turn.room.FindAffiliated(turn.sender()); }

bool IsWithinBounds(const xmpp::FormField& field) {
  std::size_t bytes = 0;
  for (const std::string& value : field.values) bytes += value.size() + 1;
  return bytes <= kMaxAboutBytes;
}

/// Section 9.9.
xmpp::Stanza ApprovalFormOf(const Turn& turn, const xmpp::Form& submitted, const std::string& nick) {
  xmpp::Form form{.type = "form",
                  .title = "Registration request",
                  .instructions =
                      "Somebody wants to become a member of this room. To skip the request, "
                      "cancel.",
                  .form_type = std::string(kFormType)};
  form.Add(kJid, "jid-single", "User ID").values = {std::string(turn.sender())};
  form.Add(kNick, "text-single", "Desired Nickname").values = {nick};
  for (const About& about : kAbout)
    if (const xmpp::FormField* field = submitted.Find(about.var))
      form.Add(about.var, about.type, about.label).values = field->values;
  form.Add(kAllow, "boolean", "Allow this person to register with the room?").values = {"0"};
  xmpp::Stanza message = xmpp::MakeMessage({}, turn.room.jid(), {});
  xmpp::AddPayload(message, xmpp::WriteForm(form));
  return message;
}

/// The sessions of admins and owners who are in; else their accounts.
Recipients Approvers(const Turn& turn) {
  Recipients approvers;
  for (const auto& [nick, occupant] : turn.room.occupants()) {
    if (turn.AffiliationOf(Room::AccountOf(occupant)) < v1::AFFILIATION_ADMIN) continue;
    for (const v1::OccupantSession& session : occupant.sessions()) approvers.push_back(session.jid());
  }
  if (!approvers.empty()) return approvers;
  for (const auto& [jid, entry] : turn.room.affiliations()) {
    if (entry.affiliation() < v1::AFFILIATION_ADMIN || RefusalOfAddress(turn.settings, jid)) continue;
    approvers.push_back(jid);
    if (approvers.size() == kMaxAbsentAdmins) break;
  }
  return approvers;
}

/// False: there have been too many, and it has been refused.
bool CountChange(Turn& turn) {
  const Changes changes(turn, turn.sender());
  if (changes.may_change()) {
    changes.Add(turn);
    return true;
  }
  turn.Refuse(ErrorCondition::kResourceConstraint, "Too many changes");
  return false;
}

/// XEP-0077 section 3.2: what registering has given is given up.
void Unregister(Turn& turn) {
  const std::string account(turn.sender());
  const v1::Affiliated* entry = EntryOfSender(turn);
  if (entry == nullptr || (entry->nick().empty() && entry->affiliation() != v1::AFFILIATION_MEMBER))
    return turn.Refuse(ErrorCondition::kRegistrationRequired);
  const bool is_member = entry->affiliation() == v1::AFFILIATION_MEMBER;
  if (!CountChange(turn)) return;
  turn.Answer();
  GiveNickUp(turn.room, account);
  if (is_member) SetAffiliation(turn, account, v1::AFFILIATION_NONE, {}, {}, Courtesy::kNone);
}

/// Why it is not passed on to admins; nullopt: it is. Each account is asked about once, also where the answer
/// was no.
std::optional<ErrorCondition> RefusalOfRequest(const Turn& turn, const xmpp::Form& form) {
  if (!std::all_of(form.fields.begin(), form.fields.end(), IsWithinBounds))
    return ErrorCondition::kNotAcceptable;
  if (IsAsked(turn, Asked::kMembership, turn.sender())) return ErrorCondition::kUnexpectedRequest;
  if (CountAsked(turn, Asked::kMembership) >= kMaxAsked) return ErrorCondition::kResourceConstraint;
  return std::nullopt;
}

/// The nick of a form, prepared. The refusal otherwise.
std::optional<ErrorCondition> ReadNick(const xmpp::Form& form, std::string& nick) {
  const xmpp::FormField* field = form.Find(kNick);
  const std::optional<std::string_view> value = field == nullptr ? std::nullopt : field->Single();
  if (!value || value->empty()) return ErrorCondition::kBadRequest;
  const auto prepared = xmpp::PrepareResource(*value);
  if (!prepared.ok()) return ErrorCondition::kNotAcceptable;
  nick = *prepared;
  return std::nullopt;
}

}  // namespace

void OnRegisterGet(Turn& turn) {
  xmpp::Element query("query", xmpp::ns::kRegister);
  const v1::Affiliated* entry = EntryOfSender(turn);
  if (entry != nullptr && !entry->nick().empty()) {
    query.Add("registered");
    query.Add("username").SetText(entry->nick());
    return turn.Answer(query);
  }
  if (!MayRegister(turn)) return turn.Refuse(ErrorCondition::kNotAllowed);
  const std::string_view instructions =
      NeedsApproval(turn) ? "An admin decides whether you become a member of this room, with this nickname."
                          : "The nickname is yours in this room.";
  query.Add("instructions").SetText(instructions);
  xmpp::Form form{.type = "form",
                  .title = "Registration",
                  .instructions = std::string(instructions),
                  .form_type = std::string(kFormType)};
  form.Add(kNick, "text-single", "Desired Nickname").is_required = true;
  // Where nobody reads it, nobody is asked.
  if (NeedsApproval(turn))
    for (const About& about : kAbout) form.Add(about.var, about.type, about.label);
  query.Add(xmpp::WriteForm(form));
  turn.Answer(query);
}

void OnRegisterSet(Turn& turn) {
  const xmpp::Element query = xmpp::OnlyChild(turn.stanza);
  if (query.Find("remove", xmpp::ns::kRegister) != nullptr) return Unregister(turn);
  if (!MayRegister(turn)) return turn.Refuse(ErrorCondition::kNotAllowed);
  const xmpp::Element* x = query.Find("x", xmpp::ns::kDataForms);
  const auto form = x == nullptr ? absl::InvalidArgumentError("no form") : xmpp::ReadForm(*x);
  if (!form.ok()) return turn.Refuse(ErrorCondition::kBadRequest);
  if (form->type == "cancel") return turn.Answer();
  if (form->type != "submit" || (!form->form_type.empty() && form->form_type != kFormType))
    return turn.Refuse(ErrorCondition::kBadRequest);
  std::string nick;
  if (const auto refusal = ReadNick(*form, nick)) return turn.Refuse(*refusal);
  const auto nick_refusal = RefusalOfNick(turn, nick, turn.sender());
  // That a nick is taken says who is inside. An admin hears of it.
  const bool is_secret = nick_refusal == ErrorCondition::kConflict && !MayLookInside(turn, turn.sender());
  if (nick_refusal && !is_secret) return turn.Refuse(*nick_refusal);
  const v1::Affiliated* entry = EntryOfSender(turn);
  const bool is_new = entry == nullptr || !IsRemembered(*entry);
  if (const auto refusal = RefusalOfMore(turn, is_new ? 1 : 0)) return turn.Refuse(*refusal);
  if (!NeedsApproval(turn)) {
    if (!CountChange(turn)) return;
    turn.Answer();
    return turn.room.SetReservedNick(turn.sender(), nick);
  }
  if (const auto refusal = RefusalOfRequest(turn, *form))
    return turn.Refuse(*refusal, {},
                       *refusal == ErrorCondition::kUnexpectedRequest ? std::optional(xmpp::ErrorType::kWait)
                                                                      : std::nullopt);
  if (!CountChange(turn)) return;
  NoteAsked(turn, Asked::kMembership, turn.sender());
  turn.Answer();
  turn.outcome.SendToEach(ApprovalFormOf(turn, *form, nick), Approvers(turn));
}

bool OnApproval(Turn& turn, const xmpp::Element& x) {
  const auto form = xmpp::ReadForm(x);
  if (!form.ok() || form->form_type != kFormType) return false;
  const auto refuse = [&](ErrorCondition condition) {
    turn.Refuse(condition);
    return true;
  };
  if (turn.AffiliationOf(turn.sender()) < v1::AFFILIATION_ADMIN) return refuse(ErrorCondition::kForbidden);
  if (form->type == "cancel") return true;
  const xmpp::FormField* allow = form->Find(kAllow);
  const std::optional<bool> is_allowed = allow == nullptr ? std::nullopt : allow->Boolean();
  if (form->type != "submit" || !is_allowed) return refuse(ErrorCondition::kBadRequest);
  // Nobody has asked to be told no.
  if (!*is_allowed) return true;

  std::string nick;
  if (const auto refusal = ReadNick(*form, nick)) return refuse(*refusal);
  const xmpp::FormField* field = form->Find(kJid);
  const std::optional<std::string_view> address = field == nullptr ? std::nullopt : field->Single();
  if (!address || address->empty()) return refuse(ErrorCondition::kBadRequest);
  const auto jid = xmpp::Jid::Parse(*address);
  if (!jid.ok()) return refuse(ErrorCondition::kJidMalformed);
  const std::string account(jid->bare());
  if (!jid->has_local() || account == turn.room.jid()) return refuse(ErrorCondition::kNotAcceptable);
  // A ban that came meanwhile is lifted with the list of bans.
  if (turn.AffiliationOf(account) == v1::AFFILIATION_OUTCAST) return refuse(ErrorCondition::kNotAllowed);
  if (const auto refusal = RefusalOfNick(turn, nick, account)) return refuse(*refusal);
  const v1::Affiliated* entry = turn.room.FindAffiliated(account);
  const bool is_new = entry == nullptr || !IsRemembered(*entry);
  if (const auto refusal = RefusalOfMore(turn, is_new ? 1 : 0)) return refuse(*refusal);
  if (RefuseIfTooManyStanzas(turn)) return true;
  if (turn.AffiliationOf(account) < v1::AFFILIATION_MEMBER)
    SetAffiliation(turn, account, v1::AFFILIATION_MEMBER, NickOfSender(turn), {});
  ForgetAsked(turn, Asked::kMembership, account);
  turn.room.SetReservedNick(account, nick);
  return true;
}

}  // namespace rookery::muc
