#include "domain/affiliations/voice_requests.h"

#include <optional>
#include <string>
#include <utility>

#include "domain/affiliations/affiliations.h"
#include "domain/room/actor.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

namespace ns = xmpp::ns;
using xmpp::ErrorCondition;

constexpr std::string_view kRole = "muc#role";
constexpr std::string_view kJid = "muc#jid";
constexpr std::string_view kNick = "muc#roomnick";
constexpr std::string_view kAllow = "muc#request_allow";

xmpp::Element ApprovalForm(std::string_view full_jid, std::string_view nick) {
  xmpp::Form form{.type = "form",
                  .title = "Request for voice",
                  .instructions = "Somebody in the room asks to be allowed to speak.",
                  .form_type = std::string(ns::kMucRequest)};
  form.Add(kRole, "list-single", "Requested role").values = {"participant"};
  form.Add(kJid, "jid-single", "Address").values = {std::string(full_jid)};
  form.Add(kNick, "text-single", "Nickname in the room").values = {std::string(nick)};
  form.Add(kAllow, "boolean", "Grant voice?").values = {"false"};
  return xmpp::WriteForm(form);
}

Recipients Moderators(const Room& room) {
  Recipients sessions;
  for (const auto& [nick, occupant] : room.occupants())
    if (occupant.role() == v1::ROLE_MODERATOR)
      for (const v1::OccupantSession& session : occupant.sessions()) sessions.push_back(session.jid());
  return sessions;
}

void OnRequest(Turn& turn, const v1::Occupant& occupant) {
  if (occupant.role() != v1::ROLE_VISITOR) return;
  Recipients moderators = Moderators(turn.room);
  if (moderators.empty()) return turn.Refuse(ErrorCondition::kRecipientUnavailable);
  if (RefuseIfTooMany(turn, 1)) return;
  xmpp::Stanza message = xmpp::MakeMessage({}, turn.room.jid(), {});
  message.set_id(turn.stanza.id());
  xmpp::SetPayload(message, ApprovalForm(turn.stanza.from(), occupant.nick()));
  turn.outcome.SendToAll(std::move(message), std::move(moderators));
}

/// The only value. None: there is no such field, or it has several values.
std::optional<std::string> ValueOf(const xmpp::Form& form, std::string_view var) {
  const xmpp::FormField* field = form.Find(var);
  const auto value = field == nullptr ? std::nullopt : field->Single();
  if (!value) return std::nullopt;
  return std::string(*value);
}

/// Finds who asked, by session where the form names one: the nick may have changed since.
const v1::Occupant* FindAsker(const Turn& turn, const std::optional<xmpp::Jid>& jid,
                              const std::optional<std::string>& nick) {
  if (jid) return turn.room.FindSession(jid->str());
  const auto prepared = xmpp::PrepareResource(nick.value_or(""));
  return prepared.ok() ? turn.room.FindNick(*prepared) : nullptr;
}

void OnAnswer(Turn& turn, const v1::Occupant& moderator, const xmpp::Form& form,
              const xmpp::FormField& allow_field) {
  if (moderator.role() != v1::ROLE_MODERATOR) return turn.Refuse(ErrorCondition::kForbidden);
  const std::optional<bool> allow = allow_field.Boolean();
  if (!allow) return turn.Refuse(ErrorCondition::kBadRequest);
  std::optional<xmpp::Jid> jid;
  if (const auto text = ValueOf(form, kJid)) {
    auto parsed = xmpp::Jid::Parse(*text);
    if (!parsed.ok()) return turn.Refuse(ErrorCondition::kJidMalformed);
    jid = *std::move(parsed);
  }
  if (!*allow) return;
  const v1::Occupant* asker = FindAsker(turn, jid, ValueOf(form, kNick));
  if (asker == nullptr) return turn.Refuse(ErrorCondition::kItemNotFound);
  if (asker->role() != v1::ROLE_VISITOR || RefuseIfTooManyStanzas(turn)) return;
  const std::string nick = asker->nick();
  const std::string actor_nick = moderator.nick();
  SetRole(turn, nick, v1::ROLE_PARTICIPANT, actor_nick, {});
}

}  // namespace

bool OnVoiceForm(Turn& turn, const xmpp::Form& form) {
  if (form.form_type != ns::kMucRequest) return false;
  const xmpp::FormField* const allow = form.Find(kAllow);
  const v1::Occupant* occupant = allow == nullptr ? turn.occupant() : FindActor(turn);
  if (occupant == nullptr) {
    turn.Refuse(ErrorCondition::kNotAcceptable);
  } else if (ValueOf(form, kRole) != "participant") {
    turn.Refuse(ErrorCondition::kBadRequest);
  } else if (allow != nullptr) {
    OnAnswer(turn, *occupant, form, *allow);
  } else {
    OnRequest(turn, *occupant);
  }
  return true;
}

}  // namespace rookery::muc
