#include "domain/messages/subject.h"

#include <string>
#include <utility>

#include "domain/messages/history.h"
#include "domain/room/occupant_message.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

bool IsSubject(const xmpp::Element& child) { return child.Is("subject", xmpp::ns::kClient); }

/// In all languages.
std::size_t BytesOfSubject(const xmpp::Stanza& message) {
  std::size_t bytes = 0;
  const auto children = xmpp::ParsePayload(message.payload());
  if (!children.ok()) return bytes;
  for (const xmpp::Element& child : *children)
    if (IsSubject(child)) bytes += child.ToXml(xmpp::ns::kClient).size();
  return bytes;
}

bool MayChangeSubject(const Room& room, const v1::Occupant& occupant) {
  return occupant.role() == v1::ROLE_MODERATOR ||
         (room.config().change_subject() && occupant.role() == v1::ROLE_PARTICIPANT);
}

/// Without the children for which `is_out` is true.
template <typename IsOut>
void Remove(xmpp::Stanza& message, IsOut is_out) {
  const auto children = xmpp::ParsePayload(message.payload());
  xmpp::ClearPayload(message);
  if (!children.ok()) return;
  for (const xmpp::Element& child : *children)
    if (!is_out(child)) xmpp::AddPayload(message, child);
}

bool IsBody(const xmpp::Element& child) { return child.Is("body", xmpp::ns::kClient); }

/// Keeps the subject and ids only: whatever else stood in the message was for those who were in the room.
void KeepSubjectAndIds(xmpp::Stanza& message) {
  Remove(message, [](const xmpp::Element& child) {
    return !IsSubject(child) && child.ns() != xmpp::ns::kOccupantId &&
           !child.Is("stanza-id", xmpp::ns::kStanzaId);
  });
}

}  // namespace

void OnSubjectChange(Turn& turn, const v1::Occupant& occupant) {
  if (!MayChangeSubject(turn.room, occupant)) return turn.Refuse(ErrorCondition::kForbidden);
  if (BytesOfSubject(turn.stanza) > static_cast<std::size_t>(turn.settings.max_subject_bytes))
    return turn.Refuse(ErrorCondition::kPolicyViolation, "The subject is too long");
  xmpp::Stanza message = MessageFrom(turn, occupant);
  // Beside an empty body clients would take it for no change.
  Remove(message, IsBody);
  v1::PastMessage said = SayToAll(turn, std::move(message), turn.sender());
  KeepSubjectAndIds(*said.mutable_stanza());
  *turn.room.ChangeState().mutable_subject() = std::move(said);
}

void RemoveSubjectOf(const Turn& turn, const v1::Occupant& occupant, xmpp::Stanza& message) {
  if (MayHold(message, "<subject") && !MayChangeSubject(turn.room, occupant)) Remove(message, IsSubject);
}

void SendSubject(Turn& turn, std::string_view full_jid) {
  const v1::RoomState& state = turn.room.state();
  xmpp::Stanza message;
  if (state.has_subject()) {
    message = state.subject().stanza();
    xmpp::AddPayload(message, xmpp::MakeDelay(turn.room.jid(), state.subject().received_at_ms()));
  } else {
    message = xmpp::MakeMessage("groupchat", turn.room.jid(), {});
    xmpp::SetPayload(message, xmpp::Element("subject", xmpp::ns::kClient));
  }
  message.set_to(std::string(full_jid));
  turn.outcome.Send(std::move(message));
}

}  // namespace rookery::muc
